"""Reading a configuration file, which may be anything: bounded, strict, and with every fault."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.domain.errors import ConfigurationError

MAX_TEXT_BYTES: Final = 4096  # a path, an address, a description of a vendor's
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


class Entry:
    """Reads one mapping of a file, collecting faults instead of stopping at the first."""

    def __init__(
        self, where: str, entry: object, fields: frozenset[str], faults: list[str]
    ) -> None:
        """`where` is its place in the file, `fields` all that may stand in it."""
        self._where = where
        self._faults = faults
        self._is_mapping = isinstance(entry, dict)
        self.given: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
        if not self._is_mapping:
            self.fault("", "not a mapping")
        for name in sorted(map(str, self.given.keys() - fields)):
            self.fault(name, "no such field")

    def fault(self, name: str, text: str) -> None:
        self._faults.append(f"{self._where}{'.' if name else ''}{name}: {text}")

    def text(self, name: str, *, required: bool = False, most: int = MAX_TEXT_BYTES) -> str | None:
        """Return a text, or None where there is none or it is a fault."""
        if name not in self.given:
            if required and self._is_mapping:
                self.fault(name, "missing")
            return None
        value = self.given[name]
        if not isinstance(value, str):
            # A serial of digits only is a number to YAML, and 0123 another one.
            self.fault(name, "not a text; put it in quotes")
        elif not value or value != value.strip() or not value.isprintable():
            self.fault(name, "empty, or has blanks around it or characters that do not print")
        elif len(value.encode()) > most:
            self.fault(name, f"longer than {most} bytes")
        elif "${" in value:
            self.fault(name, "variables are not expanded here; name the value or a file")
        else:
            return value
        return None

    def flag(self, name: str) -> bool:
        value = self.given.get(name, False)
        if not isinstance(value, bool):
            self.fault(name, "neither true nor false")
            return False
        return value

    def readable_file(self, name: str, *, required: bool = False) -> Path | None:
        value = self.text(name, required=required)
        if value is None:
            return None
        path = Path(value)
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            self.fault(name, f"{value} cannot be read: {error.strerror}")
            return None
