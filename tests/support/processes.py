"""Processes found by their parents, or by a mark in their environment, as orphans are only."""

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


def descendants(pid: int) -> set[int]:
    """Return the pids of everything that the process has started and that still lives."""
    found: set[int] = set()
    todo = [pid]
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").glob("*/children"):
            children = [int(child) for child in task.read_text().split()]
            found.update(children)
            todo.extend(children)
    return found


def parent_of(pid: int) -> int:
    """Return the parent's pid (proc(5): the fourth field, after the name in parentheses)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def has_ended(pid: int) -> bool:
    """Whether the process has ended, although nobody may have asked how."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
