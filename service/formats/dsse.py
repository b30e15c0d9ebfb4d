"""Dead Simple Signing Envelope (DSSE 1.0, protocol.md), to the byte."""

from __future__ import annotations


def pae(payload: bytes, payload_type: str) -> bytes:
    """Return the pre-authentication encoding: the bytes that a signature is over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
