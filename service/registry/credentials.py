"""Registry logins: from files, from docker's config.json, or from a credential helper.

Follows docker's own rules (cli/config/configfile and docker-credential-helpers/client): in
config.json `credHelpers` wins over `credsStore`, and that over `auths`; a helper is the
program docker-credential-NAME, asked `get` with the server's name on its standard input.
Secrets never appear in an argument list, an error or a repr.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from service.domain.errors import RegistryUnavailableError
from service.registry.config import RegistryConfig

HELPER_SECONDS: Final = 10.0  # a helper may ask a cloud's metadata service first
MAX_SECRET_BYTES: Final = 64 * 1024  # cloud tokens have some thousand bytes
_IDENTITY_TOKEN_USER: Final = "<token>"  # noqa: S105 - docker's mark for what is no password
_NOT_FOUND: Final = "credentials not found"  # docker-credential-helpers: credentials/error.go
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB_SERVER: Final = "https://index.docker.io/v1/"  # what docker calls docker.io's login


@dataclass(frozen=True, slots=True)
class Password:
    username: str
    secret: str = field(repr=False)

    def basic(self) -> str:
        """Return the Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.secret}".encode()).decode()


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """A refresh token, good at the token service only (distribution, auth/oauth)."""

    secret: str = field(repr=False)


Login = Password | IdentityToken


def login_for(config: RegistryConfig) -> Login | None:
    """Return the login for a registry, or None to stay anonymous.

    Raises:
        RegistryUnavailableError: the source of the login failed: nobody knows what the
            registry would have answered.
    """
    if config.username_file is not None and config.password_file is not None:
        return Password(_secret(config.username_file), _secret(config.password_file))
    if config.docker_config is not None:
        return _from_docker_config(config.docker_config, config.host)
    if config.credential_helper is not None:
        return _from_helper(config.credential_helper, _server_names(config.host)[0])
    return None


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_SECRET_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryUnavailableError("the file of the registry's login is unreadable") from error


def _server_names(host: str) -> tuple[str, ...]:
    """Return the names under which docker login may have stored a registry."""
    if host == "docker.io":
        return (_HUB_SERVER, host)
    return (host, f"https://{host}", f"http://{host}", f"https://{host}/v2/")


def _from_docker_config(path: Path, host: str) -> Login | None:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(1024 * 1024))
        helpers: dict[str, Any] = document.get("credHelpers") or {}
        auths: dict[str, Any] = document.get("auths") or {}
        store = document.get("credsStore")
        for name in _server_names(host):
            if name in helpers:
                return _from_helper(helpers[name], name)
        listed = [name for name in _server_names(host) if name in auths]
        if store:
            return _from_helper(store, listed[0] if listed else _server_names(host)[0])
        return _from_auth(auths[listed[0]]) if listed else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryUnavailableError("the docker config.json cannot be used") from error


def _from_auth(entry: dict[str, Any]) -> Login | None:
    if entry.get("identitytoken"):
        return IdentityToken(str(entry["identitytoken"]))
    if entry.get("auth"):
        try:
            username, colon, secret = (
                base64.b64decode(entry["auth"], validate=True).decode().partition(":")
            )
        except binascii.Error as error:
            raise ValueError("auth is not base64") from error
        if not colon:
            raise ValueError("auth has no colon")
        return Password(username, secret.rstrip("\0"))
    if entry.get("username"):
        return Password(str(entry["username"]), str(entry.get("password", "")))
    return None


def _from_helper(name: str, server: str) -> Login | None:
    if not _HELPER.fullmatch(name):
        raise RegistryUnavailableError("the credential helper's name is not one")
    try:
        done = subprocess.run(  # noqa: S603 - the operator names the helper; no shell, no secret
            [f"docker-credential-{name}", "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RegistryUnavailableError(f"docker-credential-{name} cannot be used") from error
    if done.returncode != 0:
        if _NOT_FOUND in done.stdout.decode(errors="replace"):
            return None
        raise RegistryUnavailableError(f"docker-credential-{name} failed")
    try:
        answer = json.loads(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryUnavailableError(f"docker-credential-{name} answered nonsense") from error
    return IdentityToken(secret) if username == _IDENTITY_TOKEN_USER else Password(username, secret)
