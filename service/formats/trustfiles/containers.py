"""containers/image: containers-policy.json(5), containers-registries.d(5).

Everything is refused but what is signed in our registries. cosign's identity is a repository
without a tag, so `matchRepository`; an OpenPGP signature claims the tag, and is held to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from service.formats.trustfiles.facts import TrustFacts, pem
from service.translog.notes import base64_text


def sigstore_policy(facts: TrustFacts) -> dict[str, Any]:
    keys = [base64_text(pem(version).encode()) for version in facts.versions()]
    # The single form is older than the list, and so known to more clients.
    inline: dict[str, Any] = {"keyData": keys[0]} if len(keys) == 1 else {"keyDatas": keys}
    return _policy(
        facts.registries,
        {"type": "sigstoreSigned", **inline, "signedIdentity": {"type": "matchRepository"}},
    )


def openpgp_policy(facts: TrustFacts) -> dict[str, Any]:
    return _policy(
        facts.registries,
        {
            "type": "signedBy",
            "keyType": "GPGKeys",
            "keyData": base64_text(b"".join(facts.openpgp.values())),
            "signedIdentity": {"type": "matchRepoDigestOrExact"},
        },
    )


def registries_d(facts: TrustFacts) -> bytes:
    """Say where signatures lie; a lookaside path begins with the registry, as ours has it."""
    places = {
        host: {
            "lookaside": f"{facts.url}/lookaside/{host}",
            "use-sigstore-attachments": True,
        }
        for host in facts.registries
    }
    return yaml.safe_dump({"docker": places}, sort_keys=False).encode()


def _policy(registries: Sequence[str], rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "default": [{"type": "reject"}],
        "transports": {"docker": {host: [dict(rule)] for host in registries}},
    }
