"""Where the service is and who asks: SEALWRIGHT_URL, SEALWRIGHT_TOKEN_FILE and few more.

A bearer token is only ever sent over TLS or within this machine, unless
SEALWRIGHT_ALLOW_PLAIN_HTTP=1 says that the network in between is trusted.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from service.client.errors import SettingsError

DEFAULT_TIMEOUT: Final = 60.0  # a batch of 1,000 on a slow HSM, and 10 s for its attachments
MAX_TIMEOUT: Final = 3600.0
_VISIBLE_ASCII: Final = re.compile(rb"[\x21-\x7e]+")
MAX_TOKEN_BYTES: Final = 4096  # ours have 55; more is another kind of file


@dataclass(frozen=True, slots=True)
class ClientSettings:
    host: str
    port: int
    tls: bool
    path: str = ""
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    timeout: float = DEFAULT_TIMEOUT

    @property
    def url(self) -> str:
        """Where the service is, as its files for others shall name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == (443 if self.tls else 80) else f":{self.port}"
        return f"{'https' if self.tls else 'http'}://{host}{port}{self.path}"

    @classmethod
    def from_environment(cls, url: str | None = None) -> Self:
        """Read them; `url` stands in for SEALWRIGHT_URL."""
        return cls.read(os.environ if url is None else {**os.environ, "SEALWRIGHT_URL": url})

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Self:
        """Read and check all settings.

        Raises:
            SettingsError: with every fault.
        """
        faults: list[str] = []
        host, port, tls, path = _parse_url(
            env.get("SEALWRIGHT_URL", ""),
            plain_allowed=env.get("SEALWRIGHT_ALLOW_PLAIN_HTTP") == "1",
            faults=faults,
        )
        token = _read_token(env.get("SEALWRIGHT_TOKEN_FILE", ""), faults)
        timeout = _parse_timeout(env.get("SEALWRIGHT_TIMEOUT", ""), faults)
        if faults:
            raise SettingsError(*faults)
        return cls(host, port, tls, path, token, env.get("SEALWRIGHT_CA_FILE") or None, timeout)


def _parse_url(url: str, *, plain_allowed: bool, faults: list[str]) -> tuple[str, int, bool, str]:
    nowhere = ("", 0, True, "")
    if not url:
        faults.append(
            "SEALWRIGHT_URL is not set; it names the service, as https://sign.example.com"
        )
        return nowhere
    try:
        parts = urlsplit(url)
        host, given_port = parts.hostname or "", parts.port
    except ValueError:
        faults.append("SEALWRIGHT_URL is not a URL")
        return nowhere
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        faults.append("SEALWRIGHT_URL must be http(s)://host[:port][/path]")
        return nowhere
    if parts.username is not None or parts.password is not None:
        faults.append("SEALWRIGHT_URL must not hold credentials; use SEALWRIGHT_TOKEN_FILE")
    tls = parts.scheme == "https"
    if not tls and not plain_allowed and not _is_loopback(host):
        faults.append(
            "SEALWRIGHT_URL is plain HTTP to another machine, which would show the token to "
            "everyone between; use https, or set SEALWRIGHT_ALLOW_PLAIN_HTTP=1"
        )
    port = given_port if given_port is not None else (443 if tls else 80)
    return host, port, tls, parts.path.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read_token(path: str, faults: list[str]) -> str | None:
    """Return the token, or None without a file: some calls are public."""
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_TOKEN_BYTES + 1)
    except OSError as error:
        faults.append(f"SEALWRIGHT_TOKEN_FILE cannot be read: {error.strerror}: {path}")
        return None
    token = raw.strip()
    if not token or len(raw) > MAX_TOKEN_BYTES or not _VISIBLE_ASCII.fullmatch(token):
        faults.append(f"SEALWRIGHT_TOKEN_FILE holds no token: {path}")
        return None
    return token.decode("ascii")


def _parse_timeout(text: str, faults: list[str]) -> float:
    if not text:
        return DEFAULT_TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_TIMEOUT:
        faults.append(f"SEALWRIGHT_TIMEOUT must be seconds up to {MAX_TIMEOUT:g}, not {text!r}")
        return DEFAULT_TIMEOUT
    return seconds
