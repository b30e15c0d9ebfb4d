"""What the worker does now and then, beside delivering: short, repeatable, and never fatal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import ServiceError

log = logging.getLogger(__name__)

TELL_AGAIN_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done every so many seconds, by any number of workers at once."""

    name: str
    every: float
    run: Callable[[], object]


class Chores:
    """Runs what is due. What fails is logged, and is due again like everything else.

    A chore that goes on failing in the same way is logged once a minute, however often it runs.
    """

    def __init__(self, chores: Sequence[Chore], clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, tuple[str, float]] = {}
        self._due = [(clock.monotonic(), chore) for chore in chores]

    def run_due(self) -> None:
        now = self._clock.monotonic()
        for place, (due, chore) in enumerate(self._due):
            if due > now:
                continue
            self._due[place] = (now + chore.every, chore)
            try:
                chore.run()
                self._told.pop(chore.name, None)
            except ServiceError as error:
                self._tell(chore, error, now)
            except Exception:
                # A bug in one chore must end neither the others nor delivery.
                log.exception("chore failed", extra={"chore": chore.name})

    def _tell(self, chore: Chore, error: ServiceError, now: float) -> None:
        code, told_at = self._told.get(chore.name, ("", now))
        if code == error.code and now < told_at + TELL_AGAIN_SECONDS:
            return
        self._told[chore.name] = (error.code, now)
        log.warning(
            "chore not done",
            extra={"chore": chore.name, "code": error.code, "detail": str(error)},
        )
