"""What the audit trail says of keys, each event written in the transaction of its deed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Final

from service.domain.audit import AuditEvent
from service.domain.clock import rfc3339
from service.domain.keys import KeyState, KeyVersion, Location
from service.domain.lifecycle import Move

_ACTIONS: Final[Mapping[KeyState, str]] = MappingProxyType(
    {
        KeyState.ACTIVE: "key.activated",
        KeyState.SUSPENDED: "key.suspended",
        KeyState.RETIRED: "key.retired",
        KeyState.COMPROMISED: "key.compromised",
        KeyState.DESTROYED: "key.destroyed",
    }
)
"""By the state that a version got into. Nothing gets into `staged` but by being made."""


def made(version: KeyVersion, *, actor: str, adopted: bool) -> AuditEvent:
    """A key's first version is the key itself: its subject is the name alone."""
    is_first = version.version == 1
    what = "adopted" if adopted else "created"
    return AuditEvent(
        action=f"key.{what}" if is_first else f"key.version-{what}",
        actor=actor,
        subject=version.key if is_first else version.subject,
        details={
            "algorithm": version.algorithm,
            "alongside": version.alongside,
            "attributes": asdict(version.attributes),
            "cka_id": version.cka_id.hex(),
            "fingerprint": version.fingerprint,
            "locations": [asdict(location) for location in version.locations],
            "purpose": version.purpose,
            "state": version.state,
            "version": version.version,
        },
    )


def moved(before: KeyVersion, after: KeyVersion, move: Move, *, actor: str) -> AuditEvent:
    details: dict[str, object] = {
        "fingerprint": after.fingerprint,
        "from": before.state,
        "reason": move.reason,
        "to": after.state,
    }
    if after.state is KeyState.COMPROMISED:
        details["since"] = None if move.since is None else rfc3339(move.since)
    if after.state is KeyState.ACTIVE:
        details["alongside"] = after.alongside
    unsuspended = (before.state, after.state) == (KeyState.SUSPENDED, KeyState.ACTIVE)
    action = "key.unsuspended" if unsuspended else _ACTIONS[after.state]
    return AuditEvent(action, actor, after.subject, details)


def replaced(before: Sequence[KeyVersion], by: KeyVersion, *, actor: str) -> list[AuditEvent]:
    """Those which a new active version has retired."""
    return [
        AuditEvent(
            "key.retired",
            actor,
            version.subject,
            {
                "fingerprint": version.fingerprint,
                "from": version.state,
                "reason": f"version {by.version} took its place",
                "to": KeyState.RETIRED,
            },
        )
        for version in before
    ]


def placed(version: KeyVersion, place: Location, *, actor: str) -> AuditEvent:
    details = {**asdict(place), "fingerprint": version.fingerprint}
    return AuditEvent("key.location-added", actor, version.subject, details)
