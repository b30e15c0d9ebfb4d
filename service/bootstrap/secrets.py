"""Secrets that the service makes for itself: random bytes in files that only it can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from service.domain.errors import ConfigurationError

SECRET_BYTES: Final = 32


def own_secret(path: Path) -> bytes:
    """Return the secret in `path`, made at first use with mode 0600.

    Several processes may ask at once: the file appears whole, by a hard link that only one
    of them can make, and all of them read the same bytes.

    Raises:
        ConfigurationError: it can neither be read nor made, or is too short to be one.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the secret file {path} cannot be used: {error.strerror}"
        ) from error
    if len(secret) < SECRET_BYTES:
        raise ConfigurationError(f"the secret file {path} has fewer than {SECRET_BYTES} bytes")
    return secret
