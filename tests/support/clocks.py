"""A clock for SQLite that jumps: databases that are opened while it is in place ask it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.store import sqlite

_EPOCH = 2440587.5  # the Julian day of 1970-01-01T00:00Z
_DAY = 86_400.0


@dataclass
class JumpingClock:
    """What the machine's clock says, and how many seconds it was set forward."""

    ahead: float = 0.0

    def julianday(self, _: str) -> float:
        return (time.time() + self.ahead) / _DAY + _EPOCH

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """In the place of SQLite's own function, in every connection that is made meanwhile."""
        made = sqlite.connect

        def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
            connection = made(path, read_only=read_only)
            connection.create_function("julianday", 1, self.julianday)
            return connection

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sqlite, "connect", connect)
            yield
