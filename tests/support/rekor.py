"""Requests that clients of Rekor make, by keys in memory."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from hashlib import sha256, sha384
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from service.formats import dsse

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def other_form(signature: bytes) -> bytes:
    """Return the second signature that verifies wherever this P-256 one does."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, P256_ORDER - s)


@dataclass(frozen=True)
class Client:
    key: Private
    public_pem: str | None = None
    """Another public key than its own, for signatures that somebody else has made."""

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def pem(self) -> str:
        if self.public_pem is not None:
            return self.public_pem
        return (
            self.key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )

    def sign(self, message: bytes, hashed: hashes.HashAlgorithm | None = None) -> bytes:
        hashed = hashed or hashes.SHA256()
        match self.key:
            case ec.EllipticCurvePrivateKey() as key:
                return key.sign(message, ec.ECDSA(hashed))
            case rsa.RSAPrivateKey() as key:
                return key.sign(message, padding.PKCS1v15(), hashed)
            case ed25519.Ed25519PrivateKey() as key:
                return key.sign(message)

    def hashedrekord(self, message: bytes, signature: bytes | None = None) -> dict[str, Any]:
        return {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": sha256(message).hexdigest()}},
                "signature": {
                    "content": b64(signature or self.sign(message)),
                    "publicKey": {"content": b64(self.pem.encode())},
                },
            },
        }

    def dsse(self, payload: bytes) -> dict[str, Any]:
        envelope = {
            "payload": b64(payload),
            "payloadType": dsse.IN_TOTO,
            "signatures": [{"sig": b64(self.sign(dsse.pae(payload)))}],
        }
        proposed = {"envelope": json.dumps(envelope), "verifiers": [b64(self.pem.encode())]}
        return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": proposed}}

    def v2(self, message: bytes, *, details: str = "PKIX_ECDSA_P256_SHA_256") -> dict[str, Any]:
        is_384 = "P384" in details
        signature = self.sign(message, hashes.SHA384() if is_384 else hashes.SHA256())
        digest = (sha384 if is_384 else sha256)(message).digest()
        verifier = {"publicKey": {"rawBytes": b64(self.spki)}, "keyDetails": details}
        return {
            "hashedRekordRequestV002": {
                "digest": b64(digest),
                "signature": {"content": b64(signature), "verifier": verifier},
            }
        }


def new_client() -> Client:
    return Client(ec.generate_private_key(ec.SECP256R1()))
