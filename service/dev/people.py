"""Credentials and keys for trying everything, made through the service's own API.

All but those of the admin and of the custodians, which `service.bootstrap.dev` sees to before.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from service.client import ClientError, ClientSettings, ProblemError, SealwrightClient
from service.dev.errors import SetupError
from service.dev.state import State, write_private

ADMIN: Final = "admin"

# Name of the key by purpose; every format can be signed by P-256.
KEYS: Final = MappingProxyType({"image": "release", "attestation": "build", "log": "log"})
_ALGORITHM: Final = "ec-p256"
_CERTIFIED: Final = frozenset({"image", "attestation", "timestamp"})
# XX is a country that ISO 3166 gives to nobody.
_PLACE: Final = MappingProxyType(
    {"country": "XX", "state": "Nowhere", "organization": "Sealwright on loopback"}
)
_CERTIFY_ATTEMPTS: Final = 50  # a certificate takes some milliseconds, a busy machine seconds
_CERTIFY_PAUSE_SECONDS: Final = 0.2

_CREDENTIALS: Final[MappingProxyType[str, dict[str, Any]]] = MappingProxyType(
    {
        "builder": {
            "person": "dev builder",
            "role": "builder",
            # Only the registries that are configured are ever contacted.
            "repositories": ["**"],
            "keys": [KEYS["image"], KEYS["attestation"]],
            "rights": ["sign-payload"],
        },
        "auditor": {"person": "dev auditor", "role": "auditor"},
    }
)
NAMES: Final = ("builder", "custodian", "custodian-2", "auditor", ADMIN)


def make_credentials(state: State, port: int) -> None:
    """Make each credential whose token is not in the directory, or is not valid any more.

    Raises:
        SetupError: the service refused.
    """
    admin = _client(port, state.credential(ADMIN))
    for name, wanted in _CREDENTIALS.items():
        file = state.credential(name)
        try:
            if file.exists() and _is_valid(_client(port, file)):
                continue
            made = _made(admin, name, wanted)
        except ClientError as error:
            raise SetupError(f"the credential {name} could not be made: {error}") from error
        write_private(file, made["token"])


def make_keys(state: State, port: int, token: str) -> None:
    """Make each key that is not there yet.

    Raises:
        SetupError: the service refused.
    """
    custodian = _client(port, state.credential("custodian"))
    for purpose, name in KEYS.items():
        try:
            _make_key(custodian, name, purpose, token=token)
        except ClientError as error:
            raise SetupError(f"the key {name} could not be made: {error}") from error


def make_certificates(state: State, port: int, token: str) -> None:
    """Certify what is used by formats that need it, by our own CA, unless it is certified.

    Raises:
        SetupError: the service refused.
    """
    custodian = _client(port, state.credential("custodian"))
    for purpose, name in KEYS.items():
        if purpose not in _CERTIFIED:
            continue
        try:
            _certify(custodian, name, token=token)
        except ClientError as error:
            raise SetupError(f"the key {name} could not be certified: {error}") from error


def _certify(custodian: SealwrightClient, name: str, *, token: str) -> None:
    """Another `sealwright dev` with the same database may be doing it at this very moment."""
    for _ in range(_CERTIFY_ATTEMPTS):
        active = [v for v in custodian.key(name)["versions"] if v["state"] == "active"]
        if not active or active[-1]["certificate"] is not None:
            return
        try:
            custodian.self_sign(name, {**_PLACE, "token": token})
        except ProblemError as error:
            if error.problem.code not in {"key-exists", "busy"}:
                raise
            time.sleep(_CERTIFY_PAUSE_SECONDS)
        else:
            return
    raise SetupError(f"the key {name} could not be certified: somebody else keeps changing it")


def _make_key(custodian: SealwrightClient, name: str, purpose: str, *, token: str) -> None:
    try:
        custodian.create_key(name, purpose, algorithm=_ALGORITHM, token=token)
    except ProblemError as error:
        if error.problem.code != "key-exists":
            raise
        _check_place(custodian, name, token)


def _made(admin: SealwrightClient, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        return admin.create_credential({"name": name, **wanted})
    except ProblemError as error:
        if error.problem.code != "credential-exists":
            raise
    # Somebody else's with the same database: names are unique, so ours gets another.
    return admin.create_credential({"name": f"{name}-{secrets.token_hex(4)}", **wanted})


def _is_valid(client: SealwrightClient) -> bool:
    """Whether the token authenticates: any other answer than that one comes after the check."""
    try:
        client.signature("sig_none")
    except ProblemError as error:
        return error.problem.code != "unauthenticated"
    return True


def _check_place(custodian: SealwrightClient, name: str, token: str) -> None:
    """Raise SetupError if the key lies elsewhere: nothing could then be signed with it."""
    for version in custodian.key(name)["versions"]:
        places = {location["token"] for location in version.get("locations") or ()}
        if version["state"] == "active" and places and token not in places:
            raise SetupError(
                f"the database knows the key {name} on the token {', '.join(sorted(places))}, and "
                f"this is {token}: who shares a database shares its token (--module, --token, "
                "--pin-file)"
            )


def _client(port: int, token_file: Path) -> SealwrightClient:
    return SealwrightClient(
        ClientSettings("127.0.0.1", port, tls=False, token=token_file.read_text())
    )
