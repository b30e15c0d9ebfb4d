"""The README of an export: the command for each tool, and what a stock client does not see."""

from __future__ import annotations

from typing import Final

from service.formats.trustfiles.facts import TrustFacts

MARK: Final = "# What to trust of Sealwright"
"""The first line of every export; by it the command knows a directory of its own again."""


def readme(facts: TrustFacts, *, notation: bool) -> str:
    parts = [_head(facts), _cosign(facts)]
    if facts.for_images:
        parts += [_NOTATION if notation else _NO_NOTATION, _CONTAINERS, _CLUSTERS]
    parts.append(_BLIND)
    return "\n".join(parts)


def _head(facts: TrustFacts) -> str:
    lines = [MARK, "", f"Exported from {facts.url}. Trusted keys:", ""]
    for key in facts.keys:
        versions = ", ".join(f"version {v.version} ({v.state})" for v in key.versions)
        lines.append(f"* `{key.name}`: {versions or 'no version'}")
    lines += [
        "",
        "Versions that were ever compromised are left out. Suspended ones sign nothing at present,",
        "but what they have signed still counts. In what follows `DIR` is this directory and",
        "`IMAGE` is `REGISTRY/REPOSITORY@sha256:DIGEST`. No file needs an edit.",
        "",
    ]
    return "\n".join(lines)


def _cosign(facts: TrustFacts) -> str:
    verb = "verify" if facts.for_images else "verify-attestation --type TYPE"
    old = "verify" if facts.for_images else "verify-attestation --new-bundle-format --type TYPE"
    proof = "--trusted-root DIR/trusted_root.json"
    if not facts.tlogs:
        proof = f"--insecure-ignore-tlog {proof}"
    lines = ["## cosign", ""]
    if facts.newest() is None:
        lines += ["No version is active, so there is no `cosign.pub`.", ""]
    lines += [
        "cosign 3, and cosign 2.6:" if facts.for_images else "cosign 3:",
        "",
        f"    cosign {verb} --key DIR/cosign.pub {proof} IMAGE",
    ]
    if not facts.for_images:
        lines += ["", "cosign 2.6:", "", f"    cosign {old} --key DIR/cosign.pub {proof} IMAGE"]
    lines += [
        "",
        "`cosign.pub` is the newest active version, `cosign-vN.pub` is version N. cosign takes one",
        "key at a time: what an earlier version has signed is verified with that version's file.",
    ]
    if len(facts.keys) > 1:
        lines += [
            f"These are of `{facts.keys[0].name}`; those of every other key NAME are in",
            "`keys/NAME/`.",
        ]
    if facts.tlogs:
        lines += [
            "The log's proof travels with the signature; nothing asks the public log. For a",
            "signature that is older than the log add `--insecure-ignore-tlog`.",
        ]
    if facts.are_stamped:
        lines += [
            "To demand a time stamp beside the signature as well, add `--use-signed-timestamps`.",
        ]
    lines += ["For a registry on plain HTTP add `--allow-http-registry`.", ""]
    return "\n".join(lines)


_NOTATION: Final = """\
## Notary Project

`notation/` has the layout of notation's configuration directory (notation 1.x):

    cp -r DIR/notation/. ~/.config/notation/
    notation verify IMAGE

The policy names the subject of each trusted version that has a certificate, and no other.
"""

_NO_NOTATION: Final = """\
## Notary Project

No trusted version has a certificate that notation could match, so there is no `notation/`.
"""

_CONTAINERS: Final = """\
## skopeo, podman, buildah, CRI-O

sigstore signatures (containers/image; Debian's builds have sigstore patched out):

    skopeo --policy DIR/containers/policy.json --registries.d DIR/containers/registries.d \\
      copy docker://IMAGE dir:OUT

OpenPGP signatures:

    skopeo --policy DIR/containers/policy-openpgp.json \\
      --registries.d DIR/containers/registries.d copy docker://IMAGE dir:OUT

podman, buildah and CRI-O read `/etc/containers/policy.json` (or `~/.config/containers/`) and
`registries.d/` beside it. Both policies refuse everything that is not in our registries. Any of
the keys will do. Bundles are not read by containers/image: sign in the formats `cosign` or
`openpgp`. `*.gpg` are the same keys for GnuPG.
"""

_CLUSTERS: Final = """\
## Kubernetes

    kubectl apply -f DIR/kyverno.yaml              Kyverno 1.13 and later
    kubectl apply -f DIR/policy-controller.yaml    sigstore's policy-controller
    oc apply -f DIR/openshift.yaml                 OpenShift 4.20 and later

Kyverno and policy-controller accept any of the keys. OpenShift takes one key for a policy, so it
gets the newest active version and refuses what earlier ones have signed. policy-controller looks
only at namespaces labelled `policy.sigstore.dev/include=true`. None of them asks our log. We
have tried the first two with the code of Kyverno and of policy-controller; OpenShift's follows the
published schema, and we have not tried it with OpenShift itself.
"""

_BLIND: Final = """\
## What a stock client does not see

* Withdrawals. `withdrawals.json` is the signed list; no stock client reads it. It takes a new
  export to take a compromised version away from them.
* Whether a key was rotated since: export again after each rotation, and after each compromise.
* Several keys at once: cosign and OpenShift take one.

`sealwright verify` sees all of it.
"""
