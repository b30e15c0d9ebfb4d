"""Dead Simple Signing Envelope (DSSE 1.0, protocol.md and envelope.md), to the byte.

Envelopes are written with exactly one signature and without a key id: cosign refuses every
other number, and any key id that is not empty.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final

IN_TOTO: Final = "application/vnd.in-toto+json"


def pae(payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """Return the pre-authentication encoding: the bytes that a signature is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def envelope(payload: bytes, signature: bytes) -> bytes:
    """Return the JSON of an envelope around an in-toto statement, as a bundle holds it."""
    return (
        f'{{"payload":"{_base64(payload)}","payloadType":"{IN_TOTO}",'
        f'"signatures":[{{"sig":"{_base64(signature)}"}}]}}'
    ).encode("ascii")


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")
