"""The store's smallest ports in a directory, for tests of processes that share a latch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from service.ports.store import Lease


@dataclass(frozen=True)
class FileLatch:
    directory: Path

    def is_latched(self, token: str, fingerprint: str) -> bool:
        return (self.directory / fingerprint).exists()

    def latch(self, token: str, fingerprint: str) -> None:
        (self.directory / fingerprint).touch()

    def clear(self, token: str, *, actor: str) -> bool:
        raise NotImplementedError


@dataclass(frozen=True)
class FileLeases:
    directory: Path

    def _path(self, name: str) -> Path:
        return self.directory / sha256(name.encode()).hexdigest()

    def acquire(self, name: str, *, owner: str, seconds: float) -> Lease | None:
        try:
            os.close(os.open(self._path(name), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return None
        return Lease(name, owner, 1)

    def renew(self, lease: Lease, *, seconds: float) -> None:
        raise NotImplementedError

    def release(self, lease: Lease) -> None:
        self._path(lease.name).unlink()
