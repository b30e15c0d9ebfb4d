"""The witnesses file: who cosigns our checkpoints, and the one address at which each is asked."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from service.domain import configfile, strictyaml
from service.domain.errors import ConfigurationError
from service.domain.log import LogName
from service.translog.cosignatures import Witness
from service.translog.errors import MalformedError

_MAX_WITNESSES: Final = 32  # each adds a line to every checkpoint that is read
_FIELDS: Final = frozenset({"key", "url", "logs", "ca_file"})


@dataclass(frozen=True, slots=True)
class WitnessConfig:
    """`url` is the submission prefix, without a slash at its end."""

    witness: Witness
    url: str
    logs: tuple[LogName, ...] = (LogName.SIGNATURES,)
    ca_file: Path | None = None


def load_witnesses(path: Path) -> tuple[WitnessConfig, ...]:
    """Read the file. Raises ConfigurationError, with every fault."""
    return parse_witnesses(configfile.read(path))


def parse_witnesses(content: bytes) -> tuple[WitnessConfig, ...]:
    """Parse `witnesses: [{key, url, logs, ca_file}]`. Raises ConfigurationError, with every fault."""
    document = strictyaml.load(content)
    if not isinstance(document, dict) or document.keys() != {"witnesses"}:
        raise ConfigurationError("not a mapping with exactly the field `witnesses`")
    entries = document["witnesses"]
    if not isinstance(entries, list) or len(entries) > _MAX_WITNESSES:
        raise ConfigurationError(f"witnesses: not a list of {_MAX_WITNESSES} at most")
    faults: list[str] = []
    found = [_entry(f"witnesses[{number}]", one, faults) for number, one in enumerate(entries)]
    parsed = tuple(one for one in found if one is not None)
    if len({one.witness.vkey() for one in parsed}) != len(parsed):
        faults.append("witnesses: a key stands there twice")
    if faults:
        raise ConfigurationError(*faults)
    return parsed


def _entry(where: str, entry: object, faults: list[str]) -> WitnessConfig | None:
    if not isinstance(entry, Mapping) or not {"key", "url"} <= entry.keys() <= _FIELDS:
        faults.append(f"{where}: not a mapping of key, url, and perhaps logs and ca_file")
        return None
    logs, ca_file = entry.get("logs", [LogName.SIGNATURES.value]), entry.get("ca_file")
    before = len(faults)
    if not isinstance(logs, list) or not logs or not set(logs) <= {one.value for one in LogName}:
        faults.append(f"{where}.logs: not a list of {', '.join(LogName)}")
    if not _is_url(entry["url"]):
        faults.append(f"{where}.url: not an https address (http on loopback alone)")
    if ca_file is not None and not (isinstance(ca_file, str) and Path(ca_file).is_file()):
        faults.append(f"{where}.ca_file: there is no such file")
    try:
        witness = Witness.parse(str(entry["key"]))
    except MalformedError as error:
        faults.append(f"{where}.key: {error}")
        return None
    if len(faults) != before:
        return None
    return WitnessConfig(
        witness,
        str(entry["url"]).rstrip("/"),
        tuple(LogName(one) for one in logs),
        None if ca_file is None else Path(ca_file),
    )


def _is_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.query or parts.fragment or parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
