"""Checkpoints in files: one for each log, replaced as a whole and never by an older one.

The directory must not be restored together with the database, or it could not tell.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.domain.errors import LogUnavailableError
from service.domain.log import LogName
from service.translog.checkpoints import Checkpoint
from service.translog.errors import MalformedError
from service.translog.notes import Note


class CheckpointFiles:
    """Any number of processes may use one directory: a lock file orders their writes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def newest(self, log: LogName) -> str | None:
        try:
            return self._file(log).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise LogUnavailableError(f"the checkpoint of {log} cannot be read") from error

    def keep(self, log: LogName, note: str) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                kept = self.newest(log)
                if kept is None or _size(kept) < _size(note):
                    self._write(self._file(log), note)
        except (OSError, MalformedError) as error:
            raise LogUnavailableError(f"the checkpoint of {log} cannot be kept") from error

    def set_aside(self, log: LogName) -> None:
        try:
            with self._locked():
                kept = self.newest(log)
                if kept is not None:
                    self._file(log).replace(self._directory / f"{log}.closed-{_size(kept)}")
        except (OSError, MalformedError) as error:
            raise LogUnavailableError(f"the checkpoint of {log} cannot be set aside") from error

    def _file(self, log: LogName) -> Path:
        return self._directory / f"{log}.checkpoint"

    def _write(self, file: Path, note: str) -> None:
        new = file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(note)
            stream.flush()
            # Without it a crash may leave an empty file; the older one would do no harm.
            os.fsync(stream.fileno())
        new.replace(file)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _size(note: str) -> int:
    return Checkpoint.parse(Note.parse(note).unverified_text).size
