"""Keeps parts running, and ends them all.

Invariants:
- One thread starts every part: the kernel's leash (PR_SET_PDEATHSIG) is tied to the thread.
- A part that died is started again at once; one that dies again within a second waits for
  a second, so that a fault does not turn into a busy loop. Both stay below two seconds.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from service.dev.parts import Part, Spec
from service.dev.stopping import Stop

_POLL_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 15.0  # a request may wait 10 s for its attachments

log = logging.getLogger("sealwright.dev")


class _Kept:
    """A part, and when it may be started again."""

    def __init__(self, spec: Spec, *, ends_last: bool) -> None:
        self.spec = spec
        self.ends_last = ends_last
        self.started = time.monotonic()
        self.part = Part(spec)

    def look(self) -> None:
        code = self.part.exit_code()
        now = time.monotonic()
        if code is None or now < self.started + _PATIENCE_SECONDS:
            return
        log.warning(
            "%s (pid %d) ended with %s: starting it again", self.spec.name, self.part.pid, code
        )
        self.started = now
        self.part = Part(self.spec)


class Supervisor:
    def __init__(self) -> None:
        self._kept: list[_Kept] = []

    def start(self, spec: Spec, *, ends_last: bool = False) -> Part:
        """Start a part and keep it running; what others need while they end, `ends_last`."""
        kept = _Kept(spec, ends_last=ends_last)
        self._kept.append(kept)
        log.info("%s started (pid %d)", spec.name, kept.part.pid)
        return kept.part

    def keep(self, stop: Stop) -> None:
        """Start again what dies, until a signal asks for the end."""
        while not stop.wait(_POLL_SECONDS):
            for kept in self._kept:
                kept.look()

    def end(self) -> None:
        """End every part; what a service has begun, it may finish before its registry goes."""
        for last in (False, True):
            ending = [kept.part for kept in self._kept if kept.ends_last is last]
            for part in ending:
                part.ask_to_stop()
            deadline = time.monotonic() + _GRACE_SECONDS
            for part in ending:
                part.end(deadline - time.monotonic())
        log.info("ended")
