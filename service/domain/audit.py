"""Audit events: what was decided and done, append-only and in sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


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


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event in the audit log. `body` holds its exact bytes, `index` is its leaf's position."""

    index: int
    at: datetime
    action: str
    actor: str
    subject: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """None means any. `until` is the first moment that is left out."""

    action: str | None = None
    actor: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None
