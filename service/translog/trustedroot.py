"""The logs of sigstore's trusted root: which keys sign checkpoints and promises, and since when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.domain.clock import rfc3339
from service.translog.logged import log_id
from service.translog.notes import base64_text

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


@dataclass(frozen=True, slots=True)
class LogKey:
    """A P-256 key of a log, and the times between which it signed."""

    spki: bytes
    start: datetime
    end: datetime | None = None


def tlogs(name: str, keys: Sequence[LogKey]) -> list[dict[str, Any]]:
    """Return the instances of one log, one for each key.

    The host of `baseUrl` must be the log's NAME: clients compare it with the origin of
    checkpoints in the v2 form. Nobody asks that address.
    """
    return [
        {
            "baseUrl": f"https://{name}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": base64_text(key.spki),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": _between(key),
            },
            "logId": {"keyId": base64_text(log_id(key.spki))},
        }
        for key in keys
    ]


def _between(key: LogKey) -> dict[str, str]:
    between = {"start": rfc3339(key.start)}
    if key.end is not None:
        between["end"] = rfc3339(key.end)
    return between
