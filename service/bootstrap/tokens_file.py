"""The tokens file: which tokens of which PKCS#11 modules the service may use, best first.

Every fault of the file is reported at once; unknown and repeated fields are faults. It is
checked for what it says, not for what it names: a module that is not there today makes its
token unavailable, which is no reason for the others not to serve. `sealwright doctor` looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.domain import configfile, strictyaml
from service.domain.errors import ConfigurationError

MAX_LABEL_BYTES: Final = 32  # CK_TOKEN_INFO.label
MAX_SERIAL_BYTES: Final = 16  # CK_TOKEN_INFO.serialNumber

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
        _Entry(f"tokens[{number}]", entry, _FIELDS, faults).parse()
        for number, entry in enumerate(entries)
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


class _Entry(configfile.Entry):
    def parse(self) -> TokenSettings:
        label = self.text("label", required=True, most=MAX_LABEL_BYTES)
        return TokenSettings(
            module=self._path("module", required=True) or Path(),
            label=label or "",
            serial=self.text("serial", most=MAX_SERIAL_BYTES),
            pin_file=self._path("pin_file", required=True) or Path(),
            pin_next_file=self._path("pin_next_file"),
            init_args=self.text("init_args"),
            name=self.text("name", most=MAX_LABEL_BYTES) or label or "",
        )

    def _path(self, name: str, *, required: bool = False) -> Path | None:
        value = self.text(name, required=required)
        if value is None:
            return None
        path = Path(value)
        if not path.is_absolute():
            self.fault(name, "not an absolute path")
        return path
