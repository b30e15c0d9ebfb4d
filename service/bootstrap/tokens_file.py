"""The tokens file: which tokens of which PKCS#11 modules the service may use, best first.

Every fault of the file is reported at once; unknown and repeated fields are faults. It is
checked for what it says, not for what it names: a module that is not there today makes its
token unavailable, which is no reason for the others not to serve. `sealwright doctor` looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from service.domain import configfile, strictyaml
from service.domain.errors import ConfigurationError

MAX_LABEL_BYTES: Final = 32  # CK_TOKEN_INFO.label
MAX_SERIAL_BYTES: Final = 16  # CK_TOKEN_INFO.serialNumber
MAX_TEXT_BYTES: Final = 4096  # a path, or NSS's description of a database

_FIELDS: Final = frozenset(
    {"module", "label", "serial", "pin_file", "pin_next_file", "init_args", "name"}
)


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """One token. `name` is what people call it: its label, where nothing else was chosen."""

    module: Path
    label: str
    serial: str | None
    pin_file: Path
    pin_next_file: Path | None = None
    init_args: str | None = None
    name: str = ""


def load_tokens(path: Path) -> tuple[TokenSettings, ...]:
    """Read the tokens file.

    Raises:
        ConfigurationError: with every fault of the file.
    """
    return parse_tokens(configfile.read(path))


def parse_tokens(content: bytes) -> tuple[TokenSettings, ...]:
    """Parse the text of a tokens file.

    Raises:
        ConfigurationError: with every fault.
    """
    document = strictyaml.load(content)
    if not isinstance(document, dict) or document.keys() != {"tokens"}:
        raise ConfigurationError("not a mapping with exactly the field `tokens`")
    entries = document["tokens"]
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError("tokens: not a list of one token or more")
    faults: list[str] = []
    parsed = [
        _Entry(f"tokens[{number}]", entry, faults).parse() for number, entry in enumerate(entries)
    ]
    if not faults:
        faults.extend(_conflicts(parsed))
    if faults:
        raise ConfigurationError(*faults)
    return tuple(parsed)


def _conflicts(tokens: Sequence[TokenSettings]) -> Iterator[str]:
    """What is wrong with entries that are sound each by itself."""
    for number, token in enumerate(tokens):
        where = f"tokens[{number}]"
        for earlier, other in enumerate(tokens[:number]):
            there = f"tokens[{earlier}]"
            # As dlopen tells files apart.
            same_module = token.module.resolve() == other.module.resolve()
            if same_module and token.init_args != other.init_args:
                yield f"{where}.init_args: {there} loads the same module with others"
            if (
                same_module
                and token.label == other.label
                and (None in (token.serial, other.serial) or token.serial == other.serial)
            ):
                yield f"{where}: {there} may be the same token; give both their serials"
            clones = (token.label, token.serial) == (other.label, other.serial)
            if token.name == other.name and not (clones and token.name == token.label):
                yield f"{where}.name: {there} has the name too"
            elif token.name != token.label and token.name == other.label:
                yield f"{where}.name: {there} has it for a label"
            elif other.name != other.label and other.name == token.label:
                yield f"{where}.label: {there} has it for a name"


class _Entry:
    """Reads one entry, collecting faults instead of stopping at the first."""

    def __init__(self, where: str, entry: object, faults: list[str]) -> None:
        self._where = where
        self._faults = faults
        self._entry: Mapping[object, Any] = {}
        if isinstance(entry, dict):
            self._entry = entry
        else:
            self._fault("", "not a mapping")

    def parse(self) -> TokenSettings:
        for name in sorted(map(str, self._entry.keys() - _FIELDS)):
            self._fault(name, "no such field")
        label = self._text("label", required=True, most=MAX_LABEL_BYTES)
        return TokenSettings(
            module=self._path("module", required=True) or Path(),
            label=label or "",
            serial=self._text("serial", most=MAX_SERIAL_BYTES),
            pin_file=self._path("pin_file", required=True) or Path(),
            pin_next_file=self._path("pin_next_file"),
            init_args=self._text("init_args"),
            name=self._text("name", most=MAX_LABEL_BYTES) or label or "",
        )

    def _fault(self, name: str, text: str) -> None:
        self._faults.append(f"{self._where}{'.' if name else ''}{name}: {text}")

    def _text(self, name: str, *, required: bool = False, most: int = MAX_TEXT_BYTES) -> str | None:
        if name not in self._entry:
            if required and self._entry:
                self._fault(name, "missing")
            return None
        value = self._entry[name]
        if not isinstance(value, str):
            # A serial of digits only is a number to YAML, and 0123 another one.
            self._fault(name, "not a text; put it in quotes")
            return None
        if not value or value != value.strip() or not value.isprintable():
            self._fault(name, "empty, or has blanks around it or characters that do not print")
            return None
        if len(value.encode()) > most:
            self._fault(name, f"longer than {most} bytes")
            return None
        if "${" in value:
            self._fault(name, "variables are not expanded here")
            return None
        return value

    def _path(self, name: str, *, required: bool = False) -> Path | None:
        value = self._text(name, required=required)
        if value is None:
            return None
        path = Path(value)
        if not path.is_absolute():
            self._fault(name, "not an absolute path")
        return path
