"""Public keys of others, and how bundles are signed with them.

The hash is that of the key's kind (protobuf-specs, PublicKeyDetails) or SHA-256, which cosign and
sigstore-python use with every curve. RSA is PKCS#1 v1.5, Ed25519 is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

_MIN_RSA_BITS: Final = 2048
_HASHES: Final = MappingProxyType(
    {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}
)
_OF_CURVE: Final = MappingProxyType(
    {
        "secp256r1": ("sha256", "PKIX_ECDSA_P256"),
        "secp384r1": ("sha384", "PKIX_ECDSA_P384"),
        "secp521r1": ("sha512", "PKIX_ECDSA_P521"),
    }
)
_NO_KEY: Final = "not a public key of a kind that bundles are signed with"
_Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


class WrongSignatureError(ValueError):
    """The signature does not verify."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """To hold one is proof that it was parsed, and is of a kind that bundles are signed with."""

    der: bytes
    _key: _Key

    @classmethod
    def parse_pem(cls, content: bytes) -> Self:
        """Raises ValueError: it is no public key of a known kind."""
        try:
            return cls._of(load_pem_public_key(content))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(_NO_KEY) from error

    @classmethod
    def parse(cls, der: bytes) -> Self:
        """Raises ValueError: it is no public key of a known kind."""
        try:
            return cls._of(load_der_public_key(der))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(_NO_KEY) from error

    @classmethod
    def of_certificate(cls, certificate: x509.Certificate) -> Self:
        """Raises ValueError: its key is of no known kind."""
        try:
            return cls._of(certificate.public_key())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(_NO_KEY) from error

    @classmethod
    def _of(cls, key: object) -> Self:
        match key:
            case ec.EllipticCurvePublicKey(curve=curve) if curve.name in _OF_CURVE:
                found: _Key = key
            case rsa.RSAPublicKey() if key.key_size >= _MIN_RSA_BITS:
                found = key
            case ed25519.Ed25519PublicKey():
                found = key
            case _:
                raise ValueError(_NO_KEY)
        der = found.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(der, found)

    @property
    def is_elliptic(self) -> bool:
        return isinstance(self._key, ec.EllipticCurvePublicKey)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes that a signature may be over; none where the whole message is signed."""
        match self._key:
            case ec.EllipticCurvePublicKey(curve=curve):
                return tuple(dict.fromkeys((_OF_CURVE[curve.name][0], "sha256")))
            case rsa.RSAPublicKey():
                return ("sha256",)
            case ed25519.Ed25519PublicKey():
                return ()

    @property
    def details(self) -> frozenset[str]:
        """What a log entry may say that the key is (protobuf-specs, PublicKeyDetails)."""
        match self._key:
            case ec.EllipticCurvePublicKey(curve=curve):
                name = _OF_CURVE[curve.name][1]
                return frozenset(f"{name}_SHA_{one[3:]}" for one in self.hashes)
            case rsa.RSAPublicKey(key_size=bits):
                return frozenset({f"PKIX_RSA_PKCS1V15_{bits}_SHA256"})
            case ed25519.Ed25519PublicKey():
                return frozenset({"PKIX_ED25519", "PKIX_ED25519_PH"})

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check a signature over a message that is at hand. Raises WrongSignatureError."""
        match self._key:
            case ed25519.Ed25519PublicKey() as key:
                try:
                    key.verify(signature, message)
                except InvalidSignature as error:
                    raise WrongSignatureError from error
            case _:
                digests = {}
                for name in self.hashes:
                    digest = hashes.Hash(_HASHES[name])
                    digest.update(message)
                    digests[name] = digest.finalize()
                self.verify_digest(digests, signature)

    def verify_digest(self, digests: Mapping[str, bytes], signature: bytes) -> None:
        """Check a signature over one of the digests. Raises WrongSignatureError."""
        for name in self.hashes:
            if name in digests and self._verifies(name, digests[name], signature):
                return
        raise WrongSignatureError

    def _verifies(self, name: str, digest: bytes, signature: bytes) -> bool:
        hashed = Prehashed(_HASHES[name])
        try:
            match self._key:
                case ec.EllipticCurvePublicKey() as key:
                    key.verify(signature, digest, ec.ECDSA(hashed))
                case rsa.RSAPublicKey() as key:
                    key.verify(signature, digest, padding.PKCS1v15(), hashed)
                case ed25519.Ed25519PublicKey():
                    return False
        except InvalidSignature:
            return False
        return True
