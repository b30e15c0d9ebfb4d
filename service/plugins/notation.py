"""`notation-sealwright`: notation's signing plug-in (Notary Project, plugin-extensibility.md, 1.0).

notation starts it with the name of a command, a JSON request on standard input, and takes a JSON
object from standard output; an error goes to standard error with exit code 1. It is handed the
bytes that are signed, not a digest of them, and puts the envelope together by itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any, Final

from service.client.client import SealwrightClient
from service.client.errors import ClientError, ProblemError
from service.client.settings import ClientSettings
from service.plugins.failures import RefusedError, told

CONTRACT: Final = "1.0"
MAX_REQUEST_BYTES: Final = 8 * 1024 * 1024  # what the service takes of one body
_KEY_SPECS: Final = MappingProxyType(
    {
        "ec-p256": "EC-256",
        "ec-p384": "EC-384",
        "rsa-2048": "RSA-2048",
        "rsa-3072": "RSA-3072",
        "rsa-4096": "RSA-4096",
    }
)
_ALGORITHMS: Final = MappingProxyType(
    {
        "ecdsa-p256-sha256": "ECDSA-SHA-256",
        "ecdsa-p384-sha384": "ECDSA-SHA-384",
        "rsa-pss-sha256": "RSASSA-PSS-SHA-256",
        "rsa-pss-sha384": "RSASSA-PSS-SHA-384",
        "rsa-pss-sha512": "RSASSA-PSS-SHA-512",
    }
)
_SIG_STRUCTURE: Final = b"\x84\x6aSignature1"  # CBOR: four items, of which that is the first
_DENIED: Final = frozenset({401, 403})
_ARGUMENTS: Final = 2
_USAGE: Final = "notation starts this program: notation sign --plugin sealwright --id KEY IMAGE"

JSONObject = dict[str, Any]


def main() -> None:
    sys.exit(run(sys.argv, sys.stdin.buffer, sys.stdout, sys.stderr))


def run(argv: list[str], request: IO[bytes], answer: IO[str], errors: IO[str]) -> int:
    """Answer one command."""
    if len(argv) != _ARGUMENTS:
        print(_USAGE, file=errors)
        return 2
    try:
        made = _commanded(argv[1], request)
    except (RefusedError, ClientError) as error:
        json.dump({"errorCode": _code(error), "errorMessage": told(error)}, errors)
        return 1
    json.dump(made, answer)
    return 0


def _commanded(name: str, request: IO[bytes]) -> JSONObject:
    command = _COMMANDS.get(name)
    if command is None:
        raise RefusedError(f"the command {name[:40]!r} is not known here")
    content = request.read(MAX_REQUEST_BYTES + 1)
    try:
        asked = json.loads(content) if len(content) <= MAX_REQUEST_BYTES else None
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise RefusedError("not a request of notation's plug-in protocol")
    return command(asked)


def _metadata(asked: Mapping[str, Any]) -> JSONObject:
    # Imported here: it costs as much as everything else, and signing has no use for it.
    from importlib.metadata import version  # noqa: PLC0415

    return {
        "name": "sealwright",
        "description": "Signs with keys that never leave the HSM of a Sealwright service",
        "version": version("sealwright"),
        "url": "https://notaryproject.dev/",
        "supportedContractVersions": [CONTRACT],
        "capabilities": ["SIGNATURE_GENERATOR.RAW"],
    }


def _describe_key(asked: Mapping[str, Any]) -> JSONObject:
    name = _text(asked, "keyId")
    found = _client().key(name)
    active = [one for one in found["versions"] if one["state"] == "active"]
    if not active:
        raise RefusedError(f"no version of {name} is active")
    if active[-1]["certificate"] is None:
        raise RefusedError(
            f"{name} has no certificate chain: `sealwright keys self-sign {name}` makes one"
        )
    spec = _KEY_SPECS.get(active[-1]["algorithm"])
    if spec is None:
        raise RefusedError(f"the Notary Project allows no {active[-1]['algorithm']} keys")
    return {"keyId": name, "keySpec": spec}


def _generate_signature(asked: Mapping[str, Any]) -> JSONObject:
    # Imported here: the other commands decode nothing.
    from base64 import b64decode  # noqa: PLC0415

    name = _text(asked, "keyId")
    try:
        payload = b64decode(_text(asked, "payload"), validate=True)
    except ValueError as error:
        raise RefusedError("the payload is not base64") from error
    encoding = "notation-cose" if payload.startswith(_SIG_STRUCTURE) else "notation-jws"
    made = _client().sign_payload(name, encoding, payload)
    return {
        "keyId": name,
        "signature": made["signature"],
        "signingAlgorithm": _ALGORITHMS[made["algorithm"]],
        "certificateChain": made["certificate_chain"],
    }


_COMMANDS: Final[Mapping[str, Callable[[Mapping[str, Any]], JSONObject]]] = MappingProxyType(
    {
        "get-plugin-metadata": _metadata,
        "describe-key": _describe_key,
        "generate-signature": _generate_signature,
    }
)


def _client() -> SealwrightClient:
    return SealwrightClient(ClientSettings.from_environment())


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise RefusedError(f"the request has no {name}")
    return value


def _code(error: ClientError | RefusedError) -> str:
    match error:
        case ProblemError(problem=problem) if problem.status in _DENIED:
            return "ACCESS_DENIED"
        case ProblemError(problem=problem) if problem.retryable:
            return "ERROR"
        case ProblemError() | RefusedError():
            return "VALIDATION_ERROR"
        case _:
            return "ERROR"
