"""The configured registries by name, read again by themselves when their file changes."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Protocol

from service.domain.errors import ConfigurationError, RegistryNotConfiguredError
from service.registry.config import RegistryConfig, load_registries

_log = logging.getLogger(__name__)

# Enough to notice an edit in place, a rename over the file and a symbolic link turned.
Stamp = tuple[int, int, int, int, int]


class Registries(Protocol):
    """Which registries there are; no other is ever contacted."""

    def lookup(self, host: str) -> RegistryConfig:
        """Return the registry that references call `host`.

        Raises:
            RegistryNotConfiguredError: none does.
        """
        ...

    def all(self) -> tuple[RegistryConfig, ...]: ...


class FixedRegistries:
    """Registries that somebody names as long as a process lives."""

    def __init__(self, configs: Sequence[RegistryConfig]) -> None:
        self._configs = tuple(configs)
        self._by_name = _index(self._configs)

    def lookup(self, host: str) -> RegistryConfig:
        return _found(self._by_name, host)

    def all(self) -> tuple[RegistryConfig, ...]:
        return self._configs


class RegistryBook:
    """Looks registries up by the name in a reference: their host or their public name.

    `_lock` guards `_stamp` and `_by_name`, which belong together: the entries are those of
    the newest file that had no fault, the stamp is of the newest file that was looked at, so
    that a broken file is read and reported once.
    """

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            ConfigurationError: with every fault of the file.
        """
        self._path = path
        self._lock = Lock()
        # Taken before reading: a change in between is then seen at the next look.
        self._stamp = _stamp(path)
        self._by_name = _index(load_registries(path))

    def lookup(self, host: str) -> RegistryConfig:
        """Return the registry that references call `host`.

        Raises:
            RegistryNotConfiguredError: none does.
        """
        return _found(self._current(), host)

    def all(self) -> tuple[RegistryConfig, ...]:
        return tuple({config.host: config for config in self._current().values()}.values())

    def _current(self) -> dict[str, RegistryConfig]:
        stamp = _stamp(self._path)
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._by_name = _index(load_registries(self._path))
                except ConfigurationError as error:
                    _log.error(
                        "registries file is wrong, the one before stays in force",
                        extra={"path": str(self._path), "faults": list(error.faults)},
                    )
                else:
                    _log.info("registries file read again", extra={"path": str(self._path)})
            return self._by_name


def _found(by_name: Mapping[str, RegistryConfig], host: str) -> RegistryConfig:
    config = by_name.get(host.lower())
    if config is None:
        raise RegistryNotConfiguredError(f"{host} is not a configured registry")
    return config


def _index(configs: tuple[RegistryConfig, ...]) -> dict[str, RegistryConfig]:
    return {
        name.lower(): config for config in configs for name in (config.host, config.public_name)
    }


def _stamp(path: Path) -> Stamp | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat, and asked often
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
