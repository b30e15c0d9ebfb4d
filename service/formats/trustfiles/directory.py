"""The whole export: each file by its path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.formats.trustfiles import containers, kubernetes, notation
from service.formats.trustfiles.facts import TrustedKey, TrustFacts, pem
from service.formats.trustfiles.readme import readme
from service.formats.trustfiles.trustedroot import trusted_root


def directory(facts: TrustFacts, withdrawals: Mapping[str, Any]) -> dict[str, bytes]:
    """Return every file of an export. A file that could not be used as it is, is not written."""
    named = bool(notation.subjects(facts.versions()))
    files = {"README.md": readme(facts, notation=named).encode()}
    for place, key in enumerate(facts.keys):
        files |= _cosign(key, "" if place == 0 else f"keys/{key.name}/")
    root = trusted_root(facts.tlogs, facts.authorities, url=facts.url, others=facts.others)
    files["trusted_root.json"] = in_json(root)
    files["withdrawals.json"] = in_json(withdrawals)
    if not facts.for_images or not facts.versions():
        return files
    if named:
        files |= _notation(facts)
    files["containers/policy.json"] = in_json(containers.sigstore_policy(facts))
    files["containers/registries.d/sealwright.yaml"] = containers.registries_d(facts)
    if facts.openpgp:
        files["containers/policy-openpgp.json"] = in_json(containers.openpgp_policy(facts))
    files |= {f"containers/{name}.gpg": content for name, content in facts.openpgp.items()}
    files["kyverno.yaml"] = kubernetes.kyverno(facts)
    files["policy-controller.yaml"] = kubernetes.policy_controller(facts)
    newest = facts.newest()
    if newest is not None:
        files["openshift.yaml"] = kubernetes.openshift(facts, newest)
    return files


def in_json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _cosign(key: TrustedKey, prefix: str) -> dict[str, bytes]:
    files = {f"{prefix}cosign-v{v.version}.pub": pem(v).encode() for v in key.versions}
    if key.newest is not None:
        files[f"{prefix}cosign.pub"] = pem(key.newest).encode()
    return files


def _notation(facts: TrustFacts) -> dict[str, bytes]:
    policy = notation.trust_policy(facts.versions(), are_stamped=facts.are_stamped)
    files = {"notation/trustpolicy.json": in_json(policy)}
    others = [chain[-1] for other in facts.others for chain in other.chains]
    stores = {
        "ca": notation.roots(facts.versions()),
        "tsa": notation.roots(facts.authorities, others),
    }
    for kind, roots in stores.items():
        for name, content in roots.items():
            files[f"notation/truststore/x509/{kind}/{notation.STORE}/{name}"] = content
    return files
