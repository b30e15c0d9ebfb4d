"""When a request is sent again: only where that is safe, as the service asks, and bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.client.errors import UnreachableError
from service.client.transport import Answer

MAX_ATTEMPTS: Final = 5
MAX_TOTAL_SECONDS: Final = 120.0  # a build waits that long; what takes longer is for people
MAX_WAIT_SECONDS: Final = 30.0
FIRST_WAIT_SECONDS: Final = 0.5  # doubled with each attempt where the service names no time


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long; a test passes its own waiting."""

    attempts: int = MAX_ATTEMPTS
    total_seconds: float = MAX_TOTAL_SECONDS
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def run(self, send: Callable[[], Answer], again: Callable[[Answer], bool]) -> Answer:
        """Send until `again` says no, and at most as often and as long as allowed.

        Raises:
            UnreachableError: even the last attempt brought no answer.
        """
        deadline = self.clock() + self.total_seconds
        attempt = 1
        while True:
            last: Answer | UnreachableError
            try:
                last = send()
            except UnreachableError as error:
                last = error
            if isinstance(last, Answer) and not again(last):
                return last
            asked = last.retry_after if isinstance(last, Answer) else None
            pause = min(
                FIRST_WAIT_SECONDS * 2 ** (attempt - 1) if asked is None else asked,
                MAX_WAIT_SECONDS,
            )
            if attempt >= self.attempts or self.clock() + pause > deadline:
                if isinstance(last, UnreachableError):
                    raise last
                return last
            self.wait(pause)
            attempt += 1


NO_RETRIES: Final = Retries(attempts=1)
