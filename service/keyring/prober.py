"""Lifts quarantines: a child process calls the module until it comes back.

Any process of the installation may do it, and one at a time does, by a lease row. Each looks
at the store once a second, so that a quarantine is never without a prober for long, whoever
died; a row that nobody asks about is noticed as well.
"""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Final

from hsm import attempts
from service.domain.errors import ServiceError
from service.ports.store import Lease, Leases, Quarantine

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
LEASE_SECONDS: Final = 3.0  # how long a module may be without a prober after one was killed
RENEW_SECONDS: Final = 0.5
_PAUSE_SECONDS: Final = 0.5  # before another child, where one ended without an answer
_STOP_SECONDS: Final = 1.0  # what an ending process waits for its probes to end


class Prober:
    """Invariant: `_nursed`, guarded by `_lock`, holds the modules that have a thread here."""

    def __init__(
        self,
        quarantine: Quarantine,
        leases: Leases,
        installation: str,
        modules: Mapping[str, str | None],
        lifted: Callable[[], None],
    ) -> None:
        """`modules` are those that this process uses, with their init_args."""
        self._quarantine = quarantine
        self._leases = leases
        self._installation = installation
        self._modules = modules
        self._lifted = lifted
        self._stopping = Event()
        self._wake = Event()
        self._lock = Lock()
        self._nursed: dict[str, Thread] = {}

    def start(self) -> None:
        Thread(target=self._look, name="quarantine", daemon=True).start()

    def wake(self) -> None:
        """Look at once: somebody has met a quarantine."""
        self._wake.set()

    def stop(self) -> None:
        """End what was begun and let others probe; for the end of the process."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            nurses = list(self._nursed.values())
        for nurse in nurses:
            nurse.join(_STOP_SECONDS)

    def _look(self) -> None:
        while not self._stopping.is_set():
            try:
                for each in self._quarantine.standing():
                    self._begin(each.module)
            except ServiceError as error:
                log.warning(
                    "the quarantine cannot be read",
                    extra={"code": error.code, "detail": str(error)},
                )
            self._wake.wait(LOOK_SECONDS)
            self._wake.clear()

    def _begin(self, module: str) -> None:
        with self._lock:
            if module not in self._modules or module in self._nursed or self._stopping.is_set():
                return
            nurse = Thread(target=self._nurse, args=(module,), name="prober", daemon=True)
            self._nursed[module] = nurse
            nurse.start()

    def _nurse(self, module: str) -> None:
        try:
            lease = self._leases.acquire(
                f"hsm-probe:{self._installation}:{module}",
                owner=secrets.token_hex(8),
                seconds=LEASE_SECONDS,
            )
            if lease is not None:
                try:
                    self._probe(lease, module)
                finally:
                    self._leases.release(lease)
        except ServiceError as error:
            # The store is away, or another has taken over; the next look shows.
            log.warning(
                "probing ended",
                extra={"hsm_module": module, "code": error.code, "detail": str(error)},
            )
        finally:
            with self._lock:
                del self._nursed[module]

    def _probe(self, lease: Lease, module: str) -> None:
        while not self._stopping.is_set():
            came_back = self._ask(lease, module)
            held = next((q.held for q in self._quarantine.standing() if q.module == module), None)
            if held is None:
                return
            if came_back and not held:
                self._quarantine.lift(module)
                self._lifted()
                log.warning("hsm.quarantine-lifted", extra={"hsm_module": module})
                return
            self._stopping.wait(min(held, 1.0) or _PAUSE_SECONDS)
            self._leases.renew(lease, seconds=LEASE_SECONDS)

    def _ask(self, lease: Lease, module: str) -> bool:
        """Return whether the module came back, however long that takes."""
        child = subprocess.Popen(  # noqa: S603 -- our own interpreter, with constant arguments
            # As a file and without site-packages, which it does not need: it starts faster.
            [sys.executable, "-I", "-S", attempts.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert child.stdin is not None  # noqa: S101 -- asked for above
            with suppress(BrokenPipeError):
                question = {"module": module, "init_args": self._modules[module]}
                child.stdin.write(json.dumps(question) + "\n")
                child.stdin.flush()
            while not self._stopping.is_set():
                try:
                    return child.wait(RENEW_SECONDS) == 0
                except subprocess.TimeoutExpired:
                    self._leases.renew(lease, seconds=LEASE_SECONDS)
            return False
        finally:
            # It ends its attempts when its stdin ends.
            with suppress(BrokenPipeError):
                child.communicate()
