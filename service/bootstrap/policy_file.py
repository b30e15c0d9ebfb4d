"""The policy file, read again when it changes; a broken new file leaves the old one in force."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock
from typing import Final

from service.domain import configfile, strictyaml
from service.domain.clock import Clock
from service.domain.errors import ConfigurationError
from service.policy.document import Policy, parse_policy
from service.verification.others import check_roots

log = logging.getLogger(__name__)

CHECK_EVERY_SECONDS: Final = 1.0  # how long a change may go unnoticed


def read_policy(path: Path) -> Policy:
    """Read and parse the file.

    Raises:
        ConfigurationError: with every fault.
    """
    policy = parse_policy(strictyaml.load(configfile.read(path)))
    check_roots(policy.trust)
    return policy


class PolicyFile:
    """The policy that the file says, or that of an empty one where there is no file.

    `_policy`, `_stamp` and `_looked` are guarded by `_lock`.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lock = Lock()
        self._stamp = _stamp(path) if path is not None else None
        self._policy = read_policy(path) if path is not None else Policy()
        self._looked = clock.monotonic()

    def __call__(self) -> Policy:
        if self._path is None:
            return self._policy
        with self._lock:
            now = self._clock.monotonic()
            if now - self._looked >= CHECK_EVERY_SECONDS:
                self._looked = now
                self._reload(self._path)
            return self._policy

    def _reload(self, path: Path) -> None:
        stamp = _stamp(path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._policy = read_policy(path)
            log.info("policy reloaded")
        except ConfigurationError as error:
            log.error("policy not reloaded", extra={"faults": error.faults})  # noqa: TRY400


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
