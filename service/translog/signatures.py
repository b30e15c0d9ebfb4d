"""Which signatures a log holds: a name for each, the same for every form that one may have.

A name says whose key has signed, and the signature in its one canonical form; so the signature as
it lies at a registry and the one in the log's entry have the same name.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

from service.domain.public_keys import PublicKey
from service.translog.merkle import leaf_hash

NAME_BYTES: Final = 32


def signature_name(key: PublicKey, signature: bytes) -> bytes:
    return sha256(sha256(key.der).digest() + key.canonical(signature)).digest()


def name_in(entry: bytes) -> bytes:
    """Return the name of the signature that an entry is about.

    Of what is no entry of a signature, a name that no signature has.
    """
    try:
        document = json.loads(entry)
        key, signature = _of(document["kind"], document["apiVersion"], document["spec"])
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return leaf_hash(entry)
    return signature_name(key, signature)


def _of(kind: Any, version: Any, spec: Any) -> tuple[PublicKey, bytes]:
    match kind, version:
        case "hashedrekord" | "rekord", "0.0.1":
            signed = spec["signature"]
            return _pem(signed["publicKey"]["content"]), _bytes(signed["content"])
        case "dsse", "0.0.1":
            (signed,) = spec["signatures"]
            return _pem(signed["verifier"]), _bytes(signed["signature"])
        case "hashedrekord", "0.0.2":
            signed = spec["hashedRekordV002"]["signature"]
            return _der(signed["verifier"]["publicKey"]["rawBytes"]), _bytes(signed["content"])
        case _:
            raise ValueError("not an entry of a signature")


@lru_cache(maxsize=256)
def _pem(text: str) -> PublicKey:
    return PublicKey.parse_pem(_bytes(text).decode())


@lru_cache(maxsize=256)
def _der(text: str) -> PublicKey:
    return PublicKey.parse(_bytes(text))


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
