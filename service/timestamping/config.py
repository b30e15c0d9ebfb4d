"""The time-stamps file: who stamps signatures, and whose are stamped.

Only the authorities that stand here are ever contacted. Every fault of the file is reported at
once; unknown and repeated fields are faults.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from service.domain import configfile, strictyaml
from service.domain.errors import ConfigurationError
from service.domain.limits import MAX_NAME_CHARS
from service.domain.signing import OWN_AUTHORITY
from service.verification.chains import ChainInvalidError, unverified_from_pem
from service.verification.roots import ca_paths, is_ca

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]*")
_FIELDS: Final = frozenset({"name", "url", "chain_file", "ca_file", "http", "timeout_seconds"})
_TIMEOUTS: Final = (0.1, 30.0)


@dataclass(frozen=True, slots=True)
class AuthorityConfig:
    """One authority; our own has a name alone.

    `chains` are its CA certificates as DER, each chain ending in a root.
    """

    name: str
    url: str = ""
    chains: tuple[tuple[bytes, ...], ...] = ()
    ca_file: Path | None = None
    timeout_seconds: float = 5.0
    """For one answer, from the connection to its last byte."""

    @property
    def roots(self) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys(chain[-1] for chain in self.chains))

    @property
    def between(self) -> tuple[bytes, ...]:
        return tuple(dict.fromkeys(each for chain in self.chains for each in chain[:-1]))


@dataclass(frozen=True, slots=True)
class TimestampConfig:
    """`authorities` in the order in which they are asked; `keys` None stands for every key."""

    authorities: tuple[AuthorityConfig, ...]
    keys: frozenset[str] | None = None


def load_timestamps(path: Path) -> TimestampConfig:
    """Read the time-stamps file.

    Raises:
        ConfigurationError: with every fault of the file, and of the files that it names.
    """
    return parse_timestamps(configfile.read(path))


def parse_timestamps(content: bytes) -> TimestampConfig:
    """Parse the text of a time-stamps file.

    Raises:
        ConfigurationError: with every fault.
    """
    document = strictyaml.load(content)
    if not isinstance(document, dict) or not {"authorities"} <= document.keys() <= {
        "authorities",
        "keys",
    }:
        raise ConfigurationError("not a mapping with the fields `authorities` and, perhaps, `keys`")
    faults: list[str] = []
    keys = _keys(document.get("keys"), faults)
    entries = document["authorities"]
    if not isinstance(entries, list):
        raise ConfigurationError(*faults, "authorities: not a list")
    parsed = [
        _Entry(f"authorities[{number}]", entry, _FIELDS, faults).parse()
        for number, entry in enumerate(entries)
    ]
    names = [authority.name for authority in parsed if authority.name]
    faults.extend(
        f"authorities: {name} stands there twice"
        for name in sorted(set(names))
        if names.count(name) > 1
    )
    if faults:
        raise ConfigurationError(*faults)
    return TimestampConfig(tuple(parsed), keys)


def _keys(value: object, faults: list[str]) -> frozenset[str] | None:
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(name, str) and name for name in value):
        return frozenset(value)
    faults.append("keys: not a list of names of keys")
    return None


class _Entry(configfile.Entry):
    def parse(self) -> AuthorityConfig:
        name = self.text("name", required=True) or ""
        if name and (not _NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS):
            self.fault("name", "not a name of small letters, digits, dots and dashes")
        if name == OWN_AUTHORITY:
            if len(self.given) > 1:
                self.fault(
                    "", f"{OWN_AUTHORITY} is our own authority: nothing else is to be said of it"
                )
            return AuthorityConfig(OWN_AUTHORITY)
        url = self._url()
        ca_file = self.readable_file("ca_file")
        if ca_file is not None and url.startswith("http:"):
            self.fault("ca_file", "plain HTTP has no certificates")
        return AuthorityConfig(name, url, self._chains(), ca_file, self._timeout())

    def _url(self) -> str:
        text = self.text("url", required=True)
        http = self.flag("http")
        if text is None:
            return ""
        schemes = ("http", "https") if http else ("https",)
        if not _is_url(text, schemes):
            hint = "" if http else "; `http: true` allows plain HTTP"
            self.fault("url", f"not an address with {' or '.join(schemes)} and a host{hint}")
        return text

    def _chains(self) -> tuple[tuple[bytes, ...], ...]:
        path = self.readable_file("chain_file", required=True)
        if path is None:
            return ()
        try:
            listed = unverified_from_pem(configfile.read(path).decode("ascii", errors="replace"))
        except (ConfigurationError, ChainInvalidError) as error:
            self.fault("chain_file", str(error))
            return ()
        strange = [str(n) for n, one in enumerate(listed, 1) if not is_ca(one)]
        if strange:
            text = "no certificate of a CA; the authority's own is in each of its stamps"
            self.fault("chain_file", f"certificate {', '.join(strange)} is {text}")
            return ()
        chains = ca_paths(listed)
        lost = [str(n) for n, one in enumerate(listed, 1) if not any(one in c for c in chains)]
        if lost:
            self.fault("chain_file", f"certificate {', '.join(lost)} leads to no root in it")
        return chains

    def _timeout(self) -> float:
        value = self.given.get("timeout_seconds", AuthorityConfig("").timeout_seconds)
        low, high = _TIMEOUTS
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            self.fault("timeout_seconds", f"not a number between {low:g} and {high:g}")
            return high
        return float(value)


def _is_url(text: str, schemes: Sequence[str]) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in schemes
        and bool(parts.hostname)
        and port != 0
        and parts.username is None
        and not parts.fragment
        and text.isascii()
        and " " not in text
    )
