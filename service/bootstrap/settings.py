"""Settings: one frozen object, read once from `SEALWRIGHT_*`, reporting every fault at once.

Secrets are paths and not values: environments leak through /proc and crash reports.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.bootstrap.tokens_file import TokenSettings, load_tokens
from service.domain.addresses import Network
from service.domain.errors import ConfigurationError
from service.domain.serving import EVERY_ROLE, ServerRole, reach_hsm
from service.translog.checkpoints import is_log_name

DEFAULT_STATE_DIR: Final = Path("/var/lib/sealwright")
DEFAULT_BIND: Final = "127.0.0.1:8750"
MAX_PORT: Final = 65535
_THE_ONLY_TOKEN: Final = (
    "SEALWRIGHT_PKCS11_MODULE",
    "SEALWRIGHT_TOKEN_LABEL",
    "SEALWRIGHT_PIN_FILE",
)
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclass(frozen=True, slots=True)
class Settings:
    state_dir: Path
    database_url: str
    tokens: tuple[TokenSettings, ...]
    """Best first. Empty only for work that needs no HSM, such as verifying."""
    pin_latch_secret_file: Path
    registries_file: Path | None
    policy_file: Path | None
    timestamps_file: Path | None
    bind: str
    trusted_proxies: tuple[Network, ...]
    """Whose X-Forwarded-For is believed; of nobody, unless it is set."""
    workers: int
    threads: int
    roles: frozenset[ServerRole]
    metrics_dir: Path
    log_name: str | None
    """The NAME under which the transparency log signs its heads; None makes one up."""
    checkpoints_dir: Path
    witnesses_file: Path | None
    hsm_call_seconds: float
    log_level: str
    softhsm_conf: Path | None
    """SoftHSM's own variable, SOFTHSM2_CONF: only a backup of its tokens looks at it."""

    def __repr__(self) -> str:
        """A database URL may hold a password, so no setting is shown."""
        return "Settings(…)"

    @classmethod
    def from_environment(cls, *, need_token: bool = True) -> Settings:
        return cls.read(os.environ, need_token=need_token)

    @classmethod
    def read(cls, env: Mapping[str, str], *, need_token: bool = True) -> Settings:
        """Read and check all settings.

        Raises:
            ConfigurationError: with every fault.
        """
        settings, faults = cls.review(env, need_token=need_token)
        if faults:
            raise ConfigurationError(*faults)
        return settings

    @classmethod
    def review_environment(cls) -> tuple[Settings, list[str]]:
        return cls.review(os.environ, need_token=True)

    @classmethod
    def review(cls, env: Mapping[str, str], *, need_token: bool) -> tuple[Settings, list[str]]:
        """Return the settings, defaults in the place of what is wrong, and every fault."""
        reader = _Reader(env)
        roles = reader.roles()
        state_dir = Path(env.get("SEALWRIGHT_STATE_DIR") or DEFAULT_STATE_DIR)
        settings = cls(
            state_dir=state_dir,
            database_url=reader.secret("SEALWRIGHT_DATABASE_URL")
            or f"sqlite:///{state_dir / 'sealwright.db'}",
            # What is not needed is not read: a process that cannot sign shall hold no PIN.
            tokens=reader.tokens(required=need_token) if reach_hsm(roles) else (),
            pin_latch_secret_file=reader.path("SEALWRIGHT_PIN_LATCH_SECRET_FILE")
            or state_dir / "pin-latch.secret",
            registries_file=reader.path("SEALWRIGHT_REGISTRIES_FILE"),
            policy_file=reader.path("SEALWRIGHT_POLICY_FILE"),
            timestamps_file=reader.path("SEALWRIGHT_TIMESTAMPS_FILE"),
            bind=reader.bind(),
            trusted_proxies=reader.networks("SEALWRIGHT_TRUSTED_PROXIES"),
            workers=reader.whole("SEALWRIGHT_WORKERS", default=2, low=1, high=64),
            threads=reader.whole("SEALWRIGHT_THREADS", default=8, low=1, high=128),
            roles=roles,
            metrics_dir=reader.path("SEALWRIGHT_METRICS_DIR") or state_dir / "metrics",
            log_name=reader.log_name(),
            checkpoints_dir=reader.path("SEALWRIGHT_CHECKPOINTS_DIR") or state_dir / "checkpoints",
            witnesses_file=reader.path("SEALWRIGHT_WITNESSES_FILE"),
            hsm_call_seconds=reader.seconds("SEALWRIGHT_HSM_CALL_SECONDS", default=2.0, high=60.0),
            log_level=reader.choice("SEALWRIGHT_LOG_LEVEL", LOG_LEVELS, default="INFO"),
            softhsm_conf=reader.path("SOFTHSM2_CONF"),
        )
        return settings, reader.faults


def name_metrics_directory(directory: Path) -> None:
    """Tell prometheus-client where to count; it reads nothing but this variable."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)


def name_roles(roles: str) -> None:
    """Give this process, and what it becomes, other roles than the environment says."""
    os.environ["SEALWRIGHT_ROLES"] = roles


def name_softhsm_conf(file: Path) -> None:
    """Tell SoftHSM, before it is loaded, which tokens are its own."""
    os.environ["SOFTHSM2_CONF"] = str(file)


class _Reader:
    """Reads one variable after the other and collects what is wrong."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.faults: list[str] = []

    def path(self, name: str) -> Path | None:
        value = self._env.get(name)
        return Path(value) if value else None

    def secret(self, name: str) -> str | None:
        """Read NAME, or the file named by NAME_FILE; both at once is a fault."""
        value, file = self._env.get(name), self._env.get(f"{name}_FILE")
        if value and file:
            self.faults.append(f"{name} and {name}_FILE are both set")
        if not file:
            return value or None
        try:
            return Path(file).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            self.faults.append(f"{name}_FILE cannot be read: {type(error).__name__}")
            return None

    def log_name(self) -> str | None:
        name = self._env.get("SEALWRIGHT_LOG_NAME") or None
        if name is not None and not is_log_name(name):
            self.faults.append(f"SEALWRIGHT_LOG_NAME must be like a host's name, not {name!r}")
        return name

    def tokens(self, *, required: bool) -> tuple[TokenSettings, ...]:
        """Read the tokens file, or the variables that describe the only token.

        Where no token is required, one that is not described well is none.
        """
        file = self._env.get("SEALWRIGHT_TOKENS_FILE")
        faults = self._both_ways() if file else []
        if file and not faults:
            try:
                return load_tokens(Path(file))
            except ConfigurationError as error:
                faults.extend(f"SEALWRIGHT_TOKENS_FILE: {fault}" for fault in error.faults)
        module, label, pin_file = (self._env.get(name) for name in _THE_ONLY_TOKEN)
        if not file and module and label and pin_file:
            return (
                TokenSettings(
                    Path(module),
                    label,
                    self._env.get("SEALWRIGHT_TOKEN_SERIAL") or None,
                    Path(pin_file),
                    pin_next_file=self.path("SEALWRIGHT_PIN_NEXT_FILE"),
                    name=label,
                ),
            )
        if not file:
            faults.extend(
                f"{name} is not set" for name in _THE_ONLY_TOKEN if not self._env.get(name)
            )
        if required:
            self.faults.extend(faults)
        return ()

    def _both_ways(self) -> list[str]:
        alone = (*_THE_ONLY_TOKEN, "SEALWRIGHT_TOKEN_SERIAL", "SEALWRIGHT_PIN_NEXT_FILE")
        return [
            f"SEALWRIGHT_TOKENS_FILE and {name} are both set"
            for name in alone
            if self._env.get(name)
        ]

    def whole(self, name: str, *, default: int, low: int, high: int) -> int:
        text = self._env.get(name) or str(default)
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            self.faults.append(f"{name} must be {low} to {high}, not {text!r}")
            return default
        return int(text)

    def seconds(self, name: str, *, default: float, high: float) -> float:
        text = self._env.get(name) or str(default)
        if not (re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", text) and 0 < float(text) <= high):
            self.faults.append(f"{name} must be seconds, at most {high:g}, not {text!r}")
            return default
        return float(text)

    def roles(self) -> frozenset[ServerRole]:
        """Return every role unless some are named."""
        text = self._env.get("SEALWRIGHT_ROLES")
        if not text:
            return EVERY_ROLE
        try:
            return frozenset(ServerRole(name.strip()) for name in text.split(","))
        except ValueError:
            known = ", ".join(ServerRole)
            self.faults.append(f"SEALWRIGHT_ROLES must be some of {known}, not {text!r}")
            return EVERY_ROLE

    def choice(self, name: str, choices: tuple[str, ...], *, default: str) -> str:
        text = (self._env.get(name) or default).upper()
        if text not in choices:
            self.faults.append(f"{name} must be one of {', '.join(choices)}, not {text!r}")
            return default
        return text

    def networks(self, name: str) -> tuple[Network, ...]:
        """Read addresses and networks (CIDR), with commas between them."""
        found: list[Network] = []
        for part in filter(None, map(str.strip, (self._env.get(name) or "").split(","))):
            try:
                found.append(ipaddress.ip_network(part))
            except ValueError as error:
                self.faults.append(f"{name}: {error}")
        return tuple(found)

    def bind(self) -> str:
        """Return `host:port`, or `fd://N` for a socket that a supervisor holds."""
        text = self._env.get("SEALWRIGHT_BIND") or DEFAULT_BIND
        scheme, is_descriptor, number = text.partition("fd://")
        if is_descriptor and not scheme and number.isdecimal():
            return text
        host, _, port = text.rpartition(":")
        if not (port.isdecimal() and int(port) <= MAX_PORT and _is_address(host.strip("[]"))):
            self.faults.append(f"SEALWRIGHT_BIND must be address:port or fd://N, not {text!r}")
        return text


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
