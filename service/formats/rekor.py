"""Bodies of log entries as Rekor writes them (rekor/pkg/types), to the byte.

They are the leaves of the log: written once, with the signature, and never again. Every part
that goes in is hexadecimal or base64, so that the text can be put together as it is.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from service.domain.keys import Scheme
from service.domain.public_keys import public_key as parsed

# The hash that the scheme signs. For Ed25519, which signs the message itself, SHA-256 is what
# containers/image looks for.
_HASHES: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: "sha256",
        Scheme.ECDSA_P384_SHA256: "sha256",
        Scheme.ECDSA_P384_SHA384: "sha384",
        Scheme.RSA_PKCS1_SHA256: "sha256",
        Scheme.RSA_PSS_SHA256: "sha256",
        Scheme.RSA_PSS_SHA384: "sha384",
        Scheme.RSA_PSS_SHA512: "sha512",
        Scheme.ED25519: "sha256",
    }
)


def hashedrekord(message: bytes, signature: bytes, *, public_key: bytes, scheme: Scheme) -> bytes:
    """Return a hashedrekord 0.0.1 body; its public key is base64 of the PEM text."""
    name = _HASHES[scheme]
    return (
        '{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":'
        f'"{name}","value":"{hashlib.new(name, message).hexdigest()}"}}}},"signature":{{"content":'
        f'"{_base64(signature)}","publicKey":{{"content":"{_pem(public_key)}"}}}}}}}}'
    ).encode("ascii")


def dsse(envelope: bytes, payload: bytes, signature: bytes, *, public_key: bytes) -> bytes:
    """Return a dsse 0.0.1 body for an envelope with one signature over its payload."""
    return (
        '{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256",'
        f'"value":"{hashlib.sha256(envelope).hexdigest()}"}},"payloadHash":{{"algorithm":"sha256",'
        f'"value":"{hashlib.sha256(payload).hexdigest()}"}},"signatures":[{{"signature":'
        f'"{_base64(signature)}","verifier":"{_pem(public_key)}"}}]}}}}'
    ).encode("ascii")


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")


@lru_cache(maxsize=256)
def _pem(public_key: bytes) -> str:
    return _base64(parsed(public_key).pem().encode())
