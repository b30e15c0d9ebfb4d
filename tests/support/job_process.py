"""A worker of jobs that kills itself with SIGKILL: run as a process of its own, by tests only.

`FAULT`, as in `7` or `9:2`, is the step at which to die, and after how many times there.
"""

from __future__ import annotations

import os
import signal
import sys

from service.bootstrap.api import build
from service.bootstrap.settings import Settings


class KillAt:
    def __init__(self, fault: str) -> None:
        step, _, times = fault.partition(":")
        self._step = int(step)
        self._left = int(times or 1)

    def reached(self, step: int) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    observer = KillAt(os.environ["FAULT"]) if os.environ.get("FAULT") else None
    service = build(Settings.from_environment(), observer=observer)
    ran = service.jobs.run_once(owner=f"own_{os.getpid()}", stopping=lambda: False)
    # Threads wait in the module and the store; whatever is done is committed.
    sys.stdout.flush()
    os._exit(0 if ran else 1)


if __name__ == "__main__":
    main()
