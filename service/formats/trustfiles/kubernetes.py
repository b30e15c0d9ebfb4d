"""Admission policies: Kyverno, sigstore's policy-controller, OpenShift.

The first two take any one of several keys. OpenShift takes one key for a policy, and demands all
policies of a scope at once, so it is given the newest active version alone.
"""

from __future__ import annotations

from typing import Any

import yaml

from service.domain.keys import KeyVersion
from service.formats.trustfiles.facts import TrustFacts, pem
from service.translog.notes import base64_text


def kyverno(facts: TrustFacts) -> bytes:
    """Return a ClusterPolicy (kyverno.io/v1)."""
    entries = [
        {
            "keys": {
                "publicKeys": pem(version),
                "signatureAlgorithm": "sha256",
                # Kyverno would ask the public log, which has never heard of ours.
                "rekor": {"ignoreTlog": True},
                "ctlog": {"ignoreSCT": True},
            }
        }
        for version in facts.versions()
    ]
    images = {
        "imageReferences": [f"{host}/*" for host in facts.registries],
        "failureAction": "Enforce",
        "attestors": [{"count": 1, "entries": entries}],
    }
    rule = {
        "name": "signed",
        "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "verifyImages": [images],
    }
    return _yaml(
        {
            "apiVersion": "kyverno.io/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "sealwright"},
            "spec": {"webhookTimeoutSeconds": 30, "rules": [rule]},
        }
    )


def policy_controller(facts: TrustFacts) -> bytes:
    """Return a ClusterImagePolicy (policy.sigstore.dev/v1beta1)."""
    authorities = [
        {"name": _authority(version), "key": {"data": pem(version), "hashAlgorithm": "sha256"}}
        for version in facts.versions()
    ]
    return _yaml(
        {
            "apiVersion": "policy.sigstore.dev/v1beta1",
            "kind": "ClusterImagePolicy",
            "metadata": {"name": "sealwright"},
            "spec": {
                "images": [{"glob": f"{host}/**"} for host in facts.registries],
                "authorities": authorities,
            },
        }
    )


def openshift(facts: TrustFacts, version: KeyVersion) -> bytes:
    """Return a ClusterImagePolicy (config.openshift.io/v1) of one key."""
    return _yaml(
        {
            "apiVersion": "config.openshift.io/v1",
            "kind": "ClusterImagePolicy",
            "metadata": {"name": "sealwright"},
            "spec": {
                "scopes": list(facts.registries),
                "policy": {
                    "rootOfTrust": {
                        "policyType": "PublicKey",
                        "publicKey": {"keyData": base64_text(pem(version).encode())},
                    },
                    "signedIdentity": {"matchPolicy": "MatchRepository"},
                },
            },
        }
    )


def _authority(version: KeyVersion) -> str:
    return f"{version.key}-v{version.version}"


class _Dumper(yaml.SafeDumper):
    """Writes a key as a block of lines, as people expect to see one."""


def _block(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _block)


def _yaml(document: dict[str, Any]) -> bytes:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False).encode()
