"""The production application with a StepObserver that kills its worker: only tests load this.

The step at which to die stands in the file named by FAULT_FILE; the file is removed first, so
that the worker which takes over lives.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from flask import Flask

from service import wsgi


class KillAt:
    """Ends this process with SIGKILL right after the step that the file names."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def reached(self, step: int) -> None:
        if self._file.exists() and self._file.read_text() == str(step):
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def application() -> Flask:
    return wsgi.application(observer=KillAt(Path(os.environ["FAULT_FILE"])))
