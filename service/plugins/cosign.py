"""`sigstore-kms-sealwright`: cosign's `--key sealwright://KEY` (sigstore, pkg/signature/kms/cliplugin).

cosign starts it with `v1` and one JSON document as arguments, hands the message over on standard
input, and takes one JSON object from standard output, where nothing else may stand. The message is
what is signed: the digest that cosign may send along follows the kind of the key and not what
verifiers check, so it is never used.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import IO, Any, Final

from service.client.client import SealwrightClient
from service.client.errors import ClientError
from service.client.settings import ClientSettings
from service.plugins.failures import RefusedError, told

PROTOCOL: Final = "v1"
MAX_MESSAGE_BYTES: Final = 6 * 1024 * 1024  # in base64 that is what the service takes of one body
PEM: Final = "application/x-pem-file"
_SHA256: Final = 5  # Go's crypto.SHA256
_PAE: Final = b"DSSEv1 "
_ARGUMENTS: Final = 3
_USAGE: Final = "cosign starts this program: cosign sign --key sealwright://KEY IMAGE"

JSONObject = dict[str, Any]


def main() -> None:
    sys.exit(run(sys.argv, sys.stdin.buffer, sys.stdout))


def run(argv: list[str], message: IO[bytes], answer: IO[str]) -> int:
    """Answer one call. The exit code is for people: cosign goes by the answer."""
    if len(argv) != _ARGUMENTS:
        print(_USAGE, file=sys.stderr)  # noqa: T201 - nothing but the answer goes elsewhere
        return 2
    try:
        made = _called(argv[1], argv[2], message)
    except (RefusedError, ClientError) as error:
        json.dump({"errorMessage": told(error)}, answer)
        return 1
    json.dump(made, answer)
    return 0


def _called(protocol: str, text: str, message: IO[bytes]) -> JSONObject:
    if protocol != PROTOCOL:
        raise RefusedError(f"protocol {PROTOCOL} is spoken, not {protocol[:20]}")
    try:
        asked = json.loads(text)
        start, method = asked["initOptions"], str(asked["methodName"])
        key, hashed = str(start["keyResourceID"]), start.get("hashFunc", _SHA256)
        options = dict(asked.get(method) or {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RefusedError("not a call of cosign's plug-in protocol") from error
    call = _METHODS.get(method)
    if call is None:
        raise RefusedError(f"{method[:40]} is not known here")
    if hashed != _SHA256:
        raise RefusedError("signatures are made over SHA-256, which is what verifiers check")
    return {method: call(_client, key, options, message)}


def _client() -> SealwrightClient:
    return SealwrightClient(ClientSettings.from_environment())


_Connect = Callable[[], SealwrightClient]


def _public_key(
    connect: _Connect, key: str, options: Mapping[str, Any], message: IO[bytes]
) -> JSONObject:
    return {"publicKeyPEM": _base64(connect().public_key(key, accept=PEM).encode())}


def _sign_message(
    connect: _Connect, key: str, options: Mapping[str, Any], message: IO[bytes]
) -> JSONObject:
    content = _read(message)
    encoding = "dsse-pae" if content.startswith(_PAE) else "simplesigning"
    made = connect().sign_payload(key, encoding, content)
    return {"signature": made["signature"]}


def _verify_signature(
    connect: _Connect, key: str, options: Mapping[str, Any], message: IO[bytes]
) -> JSONObject:
    # Imported here: what signs need not wait for it.
    from service.plugins.checking import check  # noqa: PLC0415

    try:
        signature = base64.b64decode(options["signature"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError("there is no signature to verify") from error
    # Every version that still counts, so that a rotation leaves older images good.
    check(_read(message), signature, pems=connect().public_key(key, accept=PEM, every=True))
    return {}


def _default_algorithm(
    connect: _Connect, key: str, options: Mapping[str, Any], message: IO[bytes]
) -> JSONObject:
    return {"defaultAlgorithm": _ALGORITHM}


def _supported_algorithms(
    connect: _Connect, key: str, options: Mapping[str, Any], message: IO[bytes]
) -> JSONObject:
    return {"supportedAlgorithms": [_ALGORITHM]}


def _create_key(
    connect: _Connect, key: str, options: Mapping[str, Any], message: IO[bytes]
) -> JSONObject:
    raise RefusedError(
        "keys are made by custodians: `sealwright keys create` (cosign public-key shows this one)"
    )


_ALGORITHM: Final = "ecdsa-p256-sha256"
_METHODS: Final = MappingProxyType(
    {
        "publicKey": _public_key,
        "signMessage": _sign_message,
        "verifySignature": _verify_signature,
        "defaultAlgorithm": _default_algorithm,
        "supportedAlgorithms": _supported_algorithms,
        "createKey": _create_key,
    }
)


def _read(message: IO[bytes]) -> bytes:
    content = message.read(MAX_MESSAGE_BYTES + 1)
    if len(content) > MAX_MESSAGE_BYTES:
        raise RefusedError(f"the message has more than {MAX_MESSAGE_BYTES} bytes")
    return content


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
