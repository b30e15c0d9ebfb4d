"""The signed list of what is withdrawn: which keys, from when, until when the list is good.

The payload is what is signed and stands: JSON of its own, which the answer repeats beside the
envelope for whoever trusts the connection that it came through.
"""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from service.domain.clock import rfc3339
from service.domain.keys import KeyVersion

PAYLOAD_TYPE: Final = "application/vnd.sealwright.withdrawals.v1+json"
VALID_FOR: Final = timedelta(days=7)  # a week of our absence blinds nobody
ISSUED_ANEW_AFTER: Final = timedelta(hours=1)  # so that an old list is told from a new one


@dataclass(frozen=True, slots=True)
class WithdrawalList:
    """One list as it was issued. `signature` is over the PAE of `payload` (DSSE), DER."""

    sequence: int
    issued_at: datetime
    valid_until: datetime
    content: str
    """A digest of the items: whether there is anything new to say."""
    key: str
    version: int
    fingerprint: str
    payload: bytes
    signature: bytes


def items_of(versions: Iterable[KeyVersion]) -> list[dict[str, object]]:
    """Return what the list says of compromised versions, in a fixed order."""
    return [
        {
            "kind": "key-version",
            "key": version.key,
            "version": version.version,
            "fingerprint": version.fingerprint,
            "since": None
            if version.compromised_since is None
            else rfc3339(version.compromised_since),
            "reason": version.compromise_reason,
        }
        for version in sorted(versions, key=lambda v: (v.key, v.version))
    ]


def content_of(items: list[dict[str, object]]) -> str:
    return sha256(_canonical(items)).hexdigest()


def payload_of(
    items: list[dict[str, object]],
    *,
    sequence: int,
    issued_at: datetime,
    valid_until: datetime,
    checkpoint: str | None,
) -> bytes:
    """Return the exact bytes that are signed."""
    return _canonical(
        {
            "issued": rfc3339(issued_at),
            "valid_until": rfc3339(valid_until),
            "sequence": sequence,
            "checkpoint": checkpoint,
            "items": items,
        }
    )


def published(issued: WithdrawalList) -> dict[str, Any]:
    """Return the list as everybody gets it: read from the signed bytes, so that what is shown and
    what is signed cannot differ."""
    return {
        **json.loads(issued.payload),
        "envelope": {
            "payloadType": PAYLOAD_TYPE,
            "payload": _base64(issued.payload),
            "signatures": [{"keyid": issued.fingerprint, "sig": _base64(issued.signature)}],
        },
    }


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
