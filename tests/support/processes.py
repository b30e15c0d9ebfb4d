"""Processes that carry a mark in their environment: the only way to find orphans."""

from __future__ import annotations

import os
import time
from pathlib import Path

MARK = "TEST_OF_SEALWRIGHT"
END_SECONDS = 60.0


def marked(mark: str) -> dict[int, str]:
    """Return the command lines of the processes whose environment has the mark, by pid."""
    wanted = f"{MARK}={mark}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = command
        except OSError:  # it has just ended, or is not ours to look into
            continue
    return found


def wait_until_gone(mark: str) -> None:
    """Wait until no process has the mark; fail with what is left."""
    deadline = time.monotonic() + END_SECONDS
    while left := marked(mark):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.05)


def parent_of(pid: int) -> int:
    """Return the parent's pid (proc(5): the fourth field, after the name in parentheses)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
