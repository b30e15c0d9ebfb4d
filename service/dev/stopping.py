"""Signals that end the supervisor: taken at any time, acted upon between two steps."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from types import FrameType
from typing import Final

from service.dev.errors import StoppedError

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Set by the first signal. Made in the main thread, once a process.

    A handler that raised could strike between the start of a part and the line that
    remembers it; so the handler only notes the signal and wakes whoever waits.
    """

    def __init__(self) -> None:
        self.asked = False
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        with contextlib.suppress(BlockingIOError):  # full of earlier signals: awake already
            self._sender.send(b"!")

    def wait(self, seconds: float) -> bool:
        """Wait for a signal, `seconds` at most; return whether one came, now or earlier."""
        if not self.asked:
            select.select([self._receiver], [], [], seconds)
        return self.asked

    def check(self) -> None:
        """Raise StoppedError once a signal came."""
        if self.asked:
            raise StoppedError
