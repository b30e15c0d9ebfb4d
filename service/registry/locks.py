"""Locks by name, for threads of one process."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from threading import Lock


class KeyedLocks:
    """One lock for each key that is held or waited for just now.

    `_guard` guards `_users`; an entry lives as long as somebody counts on it.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._users: dict[Hashable, tuple[Lock, int]] = {}

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[bool]:
        """Hold the key's lock; the value tells whether somebody else had it at first."""
        with self._guard:
            lock, users = self._users.get(key, (Lock(), 0))
            self._users[key] = (lock, users + 1)
        try:
            with lock:
                yield users > 0
        finally:
            with self._guard:
                lock, users = self._users.pop(key)
                if users > 1:
                    self._users[key] = (lock, users - 1)
