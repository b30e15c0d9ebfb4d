"""Reading a configuration file, which may be anything: bounded, and with a fault for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from service.domain.errors import ConfigurationError

MAX_FILE_BYTES: Final = 1024 * 1024  # thousands of entries; more is a mistake


def read(path: Path) -> bytes:
    """Return what the file holds, MAX_FILE_BYTES at most.

    Raises:
        ConfigurationError: it cannot be read, or holds more.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} has more than {MAX_FILE_BYTES} bytes")
    return content
