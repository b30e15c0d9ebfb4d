"""The files that processes count in, one set for each process, and what becomes of them.

prometheus-client maps `counter_PID.db` and `histogram_PID.db` into memory; whoever is asked
for the figures adds all files up. What a dead process had counted goes on counting, in the
files of process 0, which never exists: counters must not fall because a worker died.

Readers hold a shared lock on the directory and `retire_dead` an exclusive one, so that no figure
is seen twice or not at all while it moves.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from prometheus_client.mmap_dict import MmapedDict

KINDS: Final = ("counter", "histogram")
BYTES: Final = 512 * 1024  # some 2,000 series: all that our closed sets of labels can make
RETIRED: Final = 0


def prepare(directory: Path) -> None:
    """Make this process's files, with disk blocks behind them.

    A full disk is found out here: a write to a mapped page without a block kills the process.

    Raises:
        OSError
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind in KINDS:
        with (directory / f"{kind}_{os.getpid()}.db").open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, BYTES)


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    with _locked(directory, fcntl.LOCK_SH):
        yield


def retire_dead(directory: Path) -> None:
    """Add what processes that have ended counted to the files of process 0.

    Raises:
        OSError
    """
    with _locked(directory, fcntl.LOCK_EX):
        for kind in KINDS:
            dead = [file for file in directory.glob(f"{kind}_*.db") if not _is_alive(_pid(file))]
            if not dead:
                continue
            kept = MmapedDict(str(directory / f"{kind}_{RETIRED}.db"))
            try:
                for file in dead:
                    # One that was cut short, by a full disk or a crash, is lost from there on.
                    with suppress(RuntimeError, struct.error):
                        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
                            kept.write_value(key, kept.read_value(key)[0] + value, 0.0)
                    file.unlink()
            finally:
                kept.close()


def wipe(directory: Path) -> None:
    """Forget everything but what living processes count: a service starts from zero.

    Raises:
        OSError
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory, fcntl.LOCK_EX):
        for file in directory.glob("*.db"):
            pid = _pid(file)
            if pid == RETIRED or not _is_alive(pid):
                file.unlink()


def _pid(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _is_alive(pid: int) -> bool:
    if pid == RETIRED:
        return True  # it is where the dead go
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _locked(directory: Path, how: int) -> Iterator[None]:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
