"""Run a command that cannot outlive its parent: `leash.py PARENT_PID COMMAND…`.

On Linux the kernel sees to it (prctl(2), PR_SET_PDEATHSIG, which survives execve), and this
process becomes the command. Elsewhere this process stays and watches its parent.

Imports the standard library only and is run as a file, so that it costs a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.3
_KERNEL_KEEPS_LEASH: bool = sys.platform == "linux"


def leashed(command: Sequence[str]) -> list[str]:
    """Return `command` wrapped so that it dies with the calling process."""
    # Isolated and without site-packages: the leash needs neither, and starts faster.
    return [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid()), *command]


def _become(command: Sequence[str], parent: int) -> NoReturn:
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("leash: prctl failed")
    if os.getppid() != parent:
        # It died before the kernel knew of our wish, so no signal will ever come.
        sys.exit("leash: the parent is gone")
    os.execvp(command[0], list(command))  # noqa: S606 -- no shell is wanted


def _watch(command: Sequence[str], parent: int) -> int:
    child = subprocess.Popen(command, close_fds=False)  # noqa: S603 -- the supervisor's own words

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    while True:
        try:
            return child.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if os.getppid() != parent:
                child.kill()


def main(arguments: Sequence[str]) -> int:
    parent, command = int(arguments[0]), arguments[1:]
    if _KERNEL_KEEPS_LEASH:
        _become(command, parent)
    return _watch(command, parent)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
