"""One supervised process: how it starts, that it is leashed, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from service.dev.errors import SetupError
from service.dev.leash import leashed

_TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Spec:
    """What a part is. `descriptors` are sockets that it inherits."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    descriptors: tuple[int, ...] = ()


class Part:
    """A part that runs, or did. Owned by the supervisor's only thread.

    It leads a session of its own, so that Ctrl-C in the terminal reaches the supervisor
    alone, which then ends the parts in the right order.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        with _append(spec.log) as log:
            self._process = subprocess.Popen(  # noqa: S603 -- the supervisor's own words
                leashed(spec.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(spec.env),
                pass_fds=spec.descriptors,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        return self._process.poll()

    def ask_to_stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self, within: float) -> None:
        """Wait until it has ended, and kill it with its children when it takes too long."""
        try:
            self._process.wait(max(within, 0))
        except subprocess.TimeoutExpired:
            # Not reaped yet, so the number still names this session and nobody else's.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run_to_end(command: Sequence[str], *, env: Mapping[str, str], log: Path) -> str:
    """Run one step of the setup and return what it printed.

    Raises:
        SetupError: with the last words of its log.
    """
    with _append(log) as errors:
        done = subprocess.run(  # noqa: S603 -- the supervisor's own words
            leashed(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(env),
            start_new_session=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise SetupError(f"{last_words(log)}\n(more in {log})")
    return done.stdout


def last_words(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - _TAIL_BYTES, 0))
        return file.read().decode(errors="replace").strip()


def _append(log: Path) -> IO[bytes]:
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
