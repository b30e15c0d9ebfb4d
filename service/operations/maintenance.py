"""The maintenance switch: while it is on nothing is signed, in no process, and all else goes on.

It is a row of the store, so that it holds for every replica and outlives all of them. What has
begun is finished: a process that is about to sign looks at most a second ago.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.errors import MaintenanceError
from service.domain.switches import Switch
from service.operations.decide import require_action
from service.operations.readiness import ReadinessWarning
from service.policy.roles import Action
from service.ports.upkeep import Switches

NAME: Final = "maintenance"
LOOK_SECONDS: Final = 1.0  # how much later than the store a process may learn of it
RETRY_SECONDS: Final = 60.0  # maintenance takes minutes


class Maintenance:
    """`_lock` guards `_seen`, and is never held while the store is asked."""

    def __init__(self, switches: Switches, clock: Clock) -> None:
        self._switches = switches
        self._clock = clock
        self._lock = Lock()
        self._seen: tuple[Switch, float] | None = None

    def may_sign(self) -> None:
        """Raises MaintenanceError while it is on; StoreUnavailableError."""
        found = self._recent()
        if found.is_on:
            why = f": {found.reason}" if found.reason else ""
            raise MaintenanceError(f"nothing is signed now{why}", retry_after=RETRY_SECONDS)

    def show(self) -> Switch:
        return self._switches.get(NAME)

    def turn(self, caller: Caller, *, on: bool, reason: str | None) -> Switch:
        """Raises ForbiddenError."""
        require_action(caller, Action.MAINTAIN)
        turned = self._switches.turn(NAME, on=on, reason=reason, actor=caller.name)
        with self._lock:
            self._seen = None
        return turned

    def warnings(self) -> tuple[ReadinessWarning, ...]:
        found = self._recent()
        if not found.is_on:
            return ()
        return (ReadinessWarning(NAME, NAME, found.reason or "nothing is signed now"),)

    def _recent(self) -> Switch:
        now = self._clock.monotonic()
        with self._lock:
            if self._seen is not None and now < self._seen[1]:
                return self._seen[0]
        found = self._switches.get(NAME)
        with self._lock:
            self._seen = (found, now + LOOK_SECONDS)
        return found
