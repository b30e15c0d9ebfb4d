"""The leaves of the audit log."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from service.translog.rekor import canonical
from service.translog.tiles import MAX_ENTRY_BYTES

KIND: Final = "audit-event"


def audit_leaf(body: bytes) -> bytes:
    """Return the leaf of an audit event: its exact bytes, or their hash where no tile has room."""
    if len(body) <= MAX_ENTRY_BYTES:
        return body
    return canonical({"bytes": len(body), "kind": KIND, "sha256": sha256(body).hexdigest()})
