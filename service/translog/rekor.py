"""The bodies of Rekor's log entries, to the byte: what a leaf of the log `signatures` holds.

Every body is canonical JSON (RFC 8785): clients of the v2 form rebuild the leaf from it. Version
0.0.1 names a key as base64 of its PEM, 0.0.2 as base64 of its DER.

- `hashedrekord` 0.0.1: the entry of everything that is signed as it is (`.sig`, …).
- `rekord` 0.0.1: the second entry of an Ed25519 `.sig`, for cosign, which takes no Ed25519 in a
  `hashedrekord`; containers/image takes nothing else.
- `dsse` 0.0.1: the entry of a bundle.
- `hashedrekord` 0.0.2: what clients of Rekor v2 write, over the bytes that the signature is over.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256, sha384, sha512
from types import MappingProxyType
from typing import Any, Final

import orjson

from service.domain.keys import Algorithm
from service.domain.public_keys import public_key
from service.translog.errors import MalformedError
from service.translog.notes import base64_text

# By the kind of key, whatever hash the signature itself was made over: protobuf-specs and
# Rekor v2 know one algorithm for each kind.
_V2_ALGORITHMS: Final = MappingProxyType(
    {
        Algorithm.EC_P256: ("SHA2_256", sha256, "PKIX_ECDSA_P256_SHA_256"),
        Algorithm.EC_P384: ("SHA2_384", sha384, "PKIX_ECDSA_P384_SHA_384"),
        Algorithm.RSA_2048: ("SHA2_256", sha256, "PKIX_RSA_PKCS1V15_2048_SHA256"),
        Algorithm.RSA_3072: ("SHA2_256", sha256, "PKIX_RSA_PKCS1V15_3072_SHA256"),
        Algorithm.RSA_4096: ("SHA2_256", sha256, "PKIX_RSA_PKCS1V15_4096_SHA256"),
        Algorithm.ED25519: ("SHA2_512", sha512, "PKIX_ED25519_PH"),
    }
)


def canonical(document: object) -> bytes:
    """Return RFC 8785 for documents of text and objects with names in ASCII, as those here are."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def hashedrekord(message: bytes, signature: bytes, spki: bytes) -> bytes:
    """Return the body of `hashedrekord` 0.0.1 for a signature over `message`."""
    return hashedrekord_of(sha256(message).digest(), signature, spki)


def hashedrekord_of(digest: bytes, signature: bytes, spki: bytes) -> bytes:
    """As `hashedrekord`, of a message whose SHA-256 is known."""
    return canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                "signature": {
                    "content": base64_text(signature),
                    "publicKey": {"content": _pem(spki)},
                },
            },
        }
    )


def rekord(message: bytes, signature: bytes, spki: bytes) -> bytes:
    """Return the body of `rekord` 0.0.1 for a signature over `message`."""
    return canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "rekord",
            "spec": {
                "data": {"hash": _sha256(message)},
                "signature": {
                    "content": base64_text(signature),
                    "format": "x509",
                    "publicKey": {"content": _pem(spki)},
                },
            },
        }
    )


def dsse(envelope: bytes, payload: bytes, signature: bytes, spki: bytes) -> bytes:
    """Return the body of `dsse` 0.0.1: `envelope` is the exact JSON that carries the payload."""
    return canonical(
        {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": _sha256(envelope),
                "payloadHash": _sha256(payload),
                "signatures": [{"signature": base64_text(signature), "verifier": _pem(spki)}],
            },
        }
    )


def hashedrekord_v2(message: bytes, signature: bytes, spki: bytes) -> bytes:
    """Return the body of `hashedrekord` 0.0.2 for a signature over `message` (for DSSE the PAE)."""
    _, hashed, _ = _V2_ALGORITHMS[public_key(spki).algorithm]
    return hashedrekord_v2_of(hashed(message).digest(), signature, spki)


def hashedrekord_v2_of(digest: bytes, signature: bytes, spki: bytes) -> bytes:
    """As `hashedrekord_v2`, of a message whose hash (that of the key's kind) is known."""
    name, _, details = _V2_ALGORITHMS[public_key(spki).algorithm]
    return canonical(
        {
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": name, "digest": base64_text(digest)},
                    "signature": {
                        "content": base64_text(signature),
                        "verifier": {
                            "keyDetails": details,
                            "publicKey": {"rawBytes": base64_text(spki)},
                        },
                    },
                }
            },
        }
    )


def key_details(algorithm: Algorithm) -> str:
    """Return protobuf-specs' name of a kind of key."""
    return _V2_ALGORITHMS[algorithm][2]


def v2_hash(algorithm: Algorithm) -> str:
    """Return the hash, as hashlib names it, that the v2 form has for a kind of key."""
    return _V2_ALGORITHMS[algorithm][1]().name


def kind_and_version(body: bytes) -> tuple[str, str]:
    """Return what kind of entry a body is. Raises MalformedError."""
    try:
        document: Any = json.loads(body)
        kind, version = document["kind"], document["apiVersion"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError("not the body of a log entry") from error
    if not isinstance(kind, str) or not isinstance(version, str):
        raise MalformedError("not the body of a log entry")
    return kind, version


def _sha256(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": sha256(content).hexdigest()}


@lru_cache(maxsize=256)
def _pem(spki: bytes) -> str:
    return base64_text(public_key(spki).pem().encode())
