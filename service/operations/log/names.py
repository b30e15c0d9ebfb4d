"""What a log is called: fixed when its tree is begun, and never the address it is served at."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import count

from service.domain.keys import Key, Purpose
from service.domain.limits import MAX_PAGE
from service.domain.log import LogName, Tree
from service.domain.pages import PageRequest
from service.ports.log import LogReader, LogWriter
from service.ports.store import KeyCatalog

_ID_BITS = 62  # Rekor's trees have positive numbers of 64 bits


@dataclass(frozen=True, slots=True)
class LogNames:
    """`configured` is the NAME that the operator chose, if any."""

    writer: LogWriter
    reader: LogReader
    keys: KeyCatalog
    configured: str | None = None

    def tree(self, log: LogName) -> Tree | None:
        """Return the open tree, begun now where there is a key to sign its heads with."""
        found = self.writer.tree(log)
        if found is not None:
            return found
        if log is LogName.AUDIT:
            # One key signs both logs, so they must not be mistaken for each other.
            signatures = self.tree(LogName.SIGNATURES)
            if signatures is None:
                return None
            return self._begin(log, f"audit.{signatures.name}", signatures.key)
        key = self._key()
        if key is None:
            return None
        return self._begin(log, self._new_name(), key.name)

    def _new_name(self) -> str:
        """Return a NAME that no tree has had: one that was closed keeps its own for good."""
        if self.configured is None:
            return f"log-{secrets.token_hex(8)}.sealwright.internal"
        had = {tree.name for tree in self.reader.trees(LogName.SIGNATURES)}
        if self.configured not in had:
            return self.configured
        return next(
            name
            for name in (f"{number}.{self.configured}" for number in count(2))
            if name not in had
        )

    def _begin(self, log: LogName, name: str, key: str) -> Tree:
        tree_id = secrets.randbits(_ID_BITS) + 1
        return self.writer.begin(log, tree_id=tree_id, name=name, key=key)

    def _key(self) -> Key | None:
        """Return the oldest key of purpose `log` that has an active version."""
        found = self.keys.list(Purpose.LOG, PageRequest(MAX_PAGE)).items
        usable = [key for key in found if key.active()]
        return min(usable, key=lambda key: (key.created_at, key.name), default=None)
