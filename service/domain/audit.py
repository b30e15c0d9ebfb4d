"""Audit events: what was decided and done, append-only and in sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that happened.

    `action` comes from a closed set written where it is used (`signature.made`,
    `signature.denied`, `key.created`, …); `subject` names what it happened to; `details`
    are JSON values, never a secret. The store adds the sequence number and the time.
    """

    action: str
    actor: str
    subject: str
    details: Mapping[str, object] = field(default_factory=dict)
