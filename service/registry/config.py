"""The registries file: which registries exist for Sealwright, and how each is reached.

Only what stands here is ever contacted, token services and redirects included. Every fault
of the file is reported at once; unknown and repeated fields are faults. Secrets are named as
files and never expanded from variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from service.domain import configfile, strictyaml
from service.domain.errors import ConfigurationError
from service.domain.limits import MAX_MANIFEST_BYTES

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
)
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FIELDS: Final = frozenset(
    {
        "host", "address", "http", "ca_file", "public_name", "username_file", "password_file",
        "docker_config", "credential_helper", "redirect_hosts", "token_hosts", "limits",
    }
)  # fmt: skip
_SOURCES: Final = ("password_file", "docker_config", "credential_helper")


@dataclass(frozen=True, slots=True)
class RegistryLimits:
    timeout_seconds: float = 10.0
    """For one answer, from the connection to its last byte."""
    max_connections: int = 16
    max_manifest_bytes: int = MAX_MANIFEST_BYTES


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """One registry. `host` is how references name it, `public_name` how identities do.

    `address` is the host and port that is connected to, asked for and authenticated by TLS.
    """

    host: str
    address: str
    public_name: str
    http: bool = False
    ca_file: Path | None = None
    username_file: Path | None = None
    password_file: Path | None = None
    docker_config: Path | None = None
    credential_helper: str | None = None
    redirect_hosts: frozenset[str] = frozenset()
    token_hosts: frozenset[str] = frozenset()
    limits: RegistryLimits = field(default_factory=RegistryLimits)

    @property
    def names(self) -> frozenset[str]:
        """Every name by which the registry may speak of itself, in lower case."""
        return frozenset(n.lower() for n in (self.host, self.address, self.public_name))


def load_registries(path: Path) -> tuple[RegistryConfig, ...]:
    """Read the registries file.

    Raises:
        ConfigurationError: with every fault of the file.
    """
    return parse_registries(configfile.read(path))


def parse_registries(content: bytes) -> tuple[RegistryConfig, ...]:
    """Parse the text of a registries file.

    Raises:
        ConfigurationError: with every fault.
    """
    document = strictyaml.load(content)
    if not isinstance(document, dict) or document.keys() != {"registries"}:
        raise ConfigurationError("not a mapping with exactly the field `registries`")
    entries = document["registries"]
    if not isinstance(entries, list):
        raise ConfigurationError("registries: not a list")
    faults: list[str] = []
    parsed = [
        _Entry(f"registries[{number}]", entry, _FIELDS, faults).parse()
        for number, entry in enumerate(entries)
    ]
    owners: dict[str, int] = {}
    faults.extend(
        f"registries[{number}]: {name} names registries[{owners[name]}] too"
        for number, config in enumerate(parsed)
        for name in {config.host.lower(), config.public_name.lower()} - {""}
        if owners.setdefault(name, number) != number
    )
    if faults:
        raise ConfigurationError(*faults)
    return tuple(parsed)


class _Entry(configfile.Entry):
    def parse(self) -> RegistryConfig:
        host = self._host("host", required=True) or ""
        config = RegistryConfig(
            host=host,
            address=self._host("address") or host,
            public_name=self._host("public_name") or host,
            http=self.flag("http"),
            ca_file=self.readable_file("ca_file"),
            username_file=self.readable_file("username_file"),
            password_file=self.readable_file("password_file"),
            docker_config=self.readable_file("docker_config"),
            credential_helper=self._helper(),
            redirect_hosts=self._hosts("redirect_hosts"),
            token_hosts=self._hosts("token_hosts"),
            limits=self._limits(),
        )
        if config.http and config.ca_file is not None:
            self.fault("ca_file", "plain HTTP has no certificates")
        if (config.username_file is None) != (config.password_file is None):
            self.fault("username_file", "goes together with password_file")
        if sum(source in self.given for source in _SOURCES) > 1:
            self.fault("", f"more than one source of credentials ({', '.join(_SOURCES)})")
        return config

    def _host(self, name: str, *, required: bool = False) -> str | None:
        value = self.text(name, required=required)
        if value is not None and not _is_host(value):
            self.fault(name, f"not a host with an optional port: {value[:100]!r}")
            return None
        return value

    def _hosts(self, name: str) -> frozenset[str]:
        value = self.given.get(name, [])
        if not isinstance(value, list) or not all(
            isinstance(v, str) and _is_host(v) for v in value
        ):
            self.fault(name, "not a list of hosts with optional ports")
            return frozenset()
        return frozenset(v.lower() for v in value)

    def _helper(self) -> str | None:
        value = self.text("credential_helper")
        if value is not None and not _HELPER.fullmatch(value):
            self.fault("credential_helper", "not the NAME of a docker-credential-NAME")
            return None
        return value

    def _limits(self) -> RegistryLimits:
        given = self.given.get("limits", {})
        ranges: Mapping[str, tuple[float, float]] = {
            "timeout_seconds": (0.1, 300),
            "max_connections": (1, 256),
            "max_manifest_bytes": (1024, 64 * 1024 * 1024),
        }
        if not isinstance(given, dict):
            self.fault("limits", "not a mapping")
            return RegistryLimits()
        good: dict[str, Any] = {}
        for name, value in given.items():
            if name not in ranges:
                self.fault(f"limits.{name}", "no such field")
                continue
            low, high = ranges[name]
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole and not (isinstance(value, float) and name == "timeout_seconds"):
                self.fault(f"limits.{name}", "not a number of the right kind")
            elif not low <= value <= high:
                self.fault(f"limits.{name}", f"not between {low:g} and {high:g}")
            else:
                good[name] = value
        return RegistryLimits(**good)


def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None
