"""What the worker does now and then, beside delivering: short, repeatable, and never fatal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.domain.clock import Clock
from service.domain.errors import ServiceError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done every so many seconds, by any number of workers at once."""

    name: str
    every: float
    run: Callable[[], object]


class Chores:
    """Runs what is due. What fails is logged, and is due again like everything else."""

    def __init__(self, chores: Sequence[Chore], clock: Clock) -> None:
        self._clock = clock
        self._due = [(clock.monotonic(), chore) for chore in chores]

    def run_due(self) -> None:
        now = self._clock.monotonic()
        for place, (due, chore) in enumerate(self._due):
            if due > now:
                continue
            self._due[place] = (now + chore.every, chore)
            try:
                chore.run()
            except ServiceError as error:
                log.warning(
                    "chore not done",
                    extra={"chore": chore.name, "code": error.code, "detail": str(error)},
                )
            except Exception:
                # A bug in one chore must end neither the others nor delivery.
                log.exception("chore failed", extra={"chore": chore.name})
