"""The state directory of `sealwright dev`: what lies where, and that one owner uses it."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.dev.errors import USAGE, SetupError


class State:
    """Paths below one directory. Everything in it is readable by its owner alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.logs = directory / "logs"
        self.credentials = directory / "credentials"
        self.secrets = directory / "secrets"
        self.tokens = directory / "tokens"
        self.registry_storage = directory / "registry"
        self.registries_file = directory / "registries.yaml"
        self.policy_file = directory / "policy.yaml"
        self.registry_config = directory / "registry.yml"
        self.softhsm_config = directory / "softhsm2.conf"
        self.pin_file = self.secrets / "user.pin"
        self.so_pin_file = self.secrets / "so.pin"
        self.service_port = directory / "service.port"
        self.registry_port = directory / "registry.port"

    def credential(self, name: str) -> Path:
        return self.credentials / name

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Make the directory and hold it; the lock goes with the process, however it ends.

        Raises:
            SetupError: another `sealwright dev` holds it, or it cannot be made.
        """
        # Files are made by several programs, not all of which ask for a mode.
        os.umask(0o077)
        try:
            for directory in (self.directory, self.logs, self.credentials, self.secrets):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in (self.tokens, self.registry_storage):
                directory.mkdir(mode=0o700, exist_ok=True)
            self.directory.chmod(0o700)
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"{self.directory} cannot be used: {error.strerror}"
            raise SetupError(message, exit_code=USAGE) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = f"another `sealwright dev` runs in {self.directory}"
                raise SetupError(message, exit_code=USAGE) from error
            yield
        finally:
            os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Replace the file as a whole, mode 0600: a crash leaves the old one or the new one."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    fresh.replace(path)
