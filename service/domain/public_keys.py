"""Public keys and the software check of signatures: pure, and trusted more than any token.

ECDSA signatures are ASN.1 DER over the hash that the scheme names (FIPS 186-5, 6), RSA is
PKCS#1 v1.5 or PSS with a salt as long as the hash (RFC 8017), Ed25519 is pure (RFC 8032).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from service.domain.digests import Digest
from service.domain.keys import Algorithm, Scheme

SupportedKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

_SHA256: Final = hashes.SHA256()
_SHA384: Final = hashes.SHA384()
_SHA512: Final = hashes.SHA512()
_BY_NAME: Final = MappingProxyType({"sha256": _SHA256, "sha384": _SHA384, "sha512": _SHA512})
_ECDSA: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: ec.ECDSA(_SHA256),
        Scheme.ECDSA_P384_SHA256: ec.ECDSA(_SHA256),
        Scheme.ECDSA_P384_SHA384: ec.ECDSA(_SHA384),
    }
)
_RSA: Final = MappingProxyType(
    {
        Scheme.RSA_PKCS1_SHA256: (padding.PKCS1v15(), _SHA256),
        Scheme.RSA_PSS_SHA256: (padding.PSS(padding.MGF1(_SHA256), 32), _SHA256),
        Scheme.RSA_PSS_SHA384: (padding.PSS(padding.MGF1(_SHA384), 48), _SHA384),
        Scheme.RSA_PSS_SHA512: (padding.PSS(padding.MGF1(_SHA512), 64), _SHA512),
    }
)
_SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: frozenset({Scheme.ECDSA_P256_SHA256}),
        Algorithm.EC_P384: frozenset({Scheme.ECDSA_P384_SHA256, Scheme.ECDSA_P384_SHA384}),
        Algorithm.RSA_2048: frozenset(_RSA),
        Algorithm.RSA_3072: frozenset(_RSA),
        Algorithm.RSA_4096: frozenset(_RSA),
        Algorithm.ED25519: frozenset({Scheme.ED25519}),
    }
)
_RSA_BITS: Final = MappingProxyType(
    {2048: Algorithm.RSA_2048, 3072: Algorithm.RSA_3072, 4096: Algorithm.RSA_4096}
)


class SignatureInvalidError(Exception):
    """The signature was checked, and it is wrong. Not an answer for callers by itself."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a kind that we sign with; to hold one is proof that it was parsed."""

    der: bytes
    algorithm: Algorithm
    _key: SupportedKey

    @classmethod
    def parse(cls, der: bytes) -> Self:
        """Parse a DER SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).

        Raises:
            ValueError: it is none, or of a kind or size that Sealwright does not know.
        """
        key = serialization.load_der_public_key(der)
        match key:
            case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
                return cls(der, Algorithm.EC_P256, key)
            case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
                return cls(der, Algorithm.EC_P384, key)
            case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
                return cls(der, _RSA_BITS[key.key_size], key)
            case ed25519.Ed25519PublicKey():
                return cls(der, Algorithm.ED25519, key)
            case _:
                raise ValueError("a public key of a kind that is not supported")

    @classmethod
    def parse_pem(cls, text: str) -> Self:
        """Parse a PEM SubjectPublicKeyInfo, and hold it in the one DER form that keys are known by.

        Raises:
            ValueError: as `parse`.
        """
        try:
            key = serialization.load_pem_public_key(text.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise ValueError("not a public key in PEM, of a kind that is supported") from error
        return cls.parse(
            key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def verify(self, scheme: Scheme, message: bytes, signature: bytes) -> None:
        """Check a signature over `message`.

        Raises:
            SignatureInvalidError: it is wrong, or the scheme does not fit the key.
        """
        if scheme not in _SCHEMES[self.algorithm]:
            raise SignatureInvalidError(f"{scheme} does not fit a key of kind {self.algorithm}")
        try:
            match self._key:
                case ec.EllipticCurvePublicKey() as key:
                    key.verify(signature, message, _ECDSA[scheme])
                case rsa.RSAPublicKey() as key:
                    key.verify(signature, message, *_RSA[scheme])
                case ed25519.Ed25519PublicKey() as key:
                    key.verify(signature, message)
        except InvalidSignature as error:
            raise SignatureInvalidError("the signature does not verify") from error

    def verify_digest(self, hash_name: str, digest: bytes, signature: bytes) -> None:
        """Check an ECDSA or PKCS#1 v1.5 signature over a message of which only the hash is known.

        Raises:
            SignatureInvalidError: it is wrong, or such a key cannot be checked like that.
        """
        hashed = _BY_NAME.get(hash_name)
        if hashed is None or len(digest) != hashed.digest_size:
            raise SignatureInvalidError("the digest is not one of that hash")
        prehashed = Prehashed(hashed)
        try:
            match self._key:
                case ec.EllipticCurvePublicKey() as key:
                    key.verify(signature, digest, ec.ECDSA(prehashed))
                case rsa.RSAPublicKey() as key:
                    key.verify(signature, digest, padding.PKCS1v15(), prehashed)
                case ed25519.Ed25519PublicKey():
                    raise SignatureInvalidError("Ed25519 signs messages, not their hashes")
        except InvalidSignature as error:
            raise SignatureInvalidError("the signature does not verify") from error

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether it is a signature over `message` in any scheme that such a key has."""
        checks: list[Callable[[], None]] = [
            partial(self.verify, scheme, message, signature) for scheme in _SCHEMES[self.algorithm]
        ]
        checks += [
            partial(self.verify_digest, name, hashlib.new(name, message).digest(), signature)
            for name in _BY_NAME
        ]
        return any(map(_holds, checks))

    def has_signed_digest(self, digest: bytes, signature: bytes) -> bool:
        """Whether it is one over a message of which only the hash is known, whichever hash."""
        return any(
            _holds(partial(self.verify_digest, name, digest, signature)) for name in _BY_NAME
        )

    def canonical(self, signature: bytes) -> bytes:
        """Return the one form of a signature, so that two of one making can be told to be one.

        ECDSA signatures come as DER and as r and s side by side, and with n - s in the place
        of s they verify as well, which anybody can compute. Others have one form only. What is
        no ECDSA signature at all is returned as it is.
        """
        match self._key:
            case ec.EllipticCurvePublicKey(curve=curve):
                return _canonical_ecdsa(signature, curve.group_order)
            case _:
                return signature

    def forms(self, signature: bytes) -> tuple[bytes, ...]:
        """Return every encoding that a signature of the same making may be on record with."""
        canonical = self.canonical(signature)
        match self._key:
            case ec.EllipticCurvePublicKey(curve=curve) if len(canonical) == 2 * _size(curve):
                return _ecdsa_forms(canonical, curve.group_order)
            case _:
                return (canonical,)

    def pem(self) -> str:
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def jwk(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517, 7518 section 6, 8037) with its RFC 7638 digest as kid."""
        members = self._jwk_members()
        required = ",".join(f'"{name}":"{members[name]}"' for name in sorted(members))
        thumbprint = bytes.fromhex(Digest.of(f"{{{required}}}".encode()).hex)
        return {**members, "kid": _b64url(thumbprint)}

    def _jwk_members(self) -> dict[str, str]:
        match self._key:
            case ec.EllipticCurvePublicKey() as key:
                size = (key.key_size + 7) // 8
                point = key.public_numbers()
                return {
                    "crv": f"P-{key.key_size}",
                    "kty": "EC",
                    "x": _b64url(point.x.to_bytes(size, "big")),
                    "y": _b64url(point.y.to_bytes(size, "big")),
                }
            case rsa.RSAPublicKey() as key:
                numbers = key.public_numbers()
                return {
                    "e": _b64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
                    "kty": "RSA",
                    "n": _b64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
                }
            case ed25519.Ed25519PublicKey() as key:
                return {"crv": "Ed25519", "kty": "OKP", "x": _b64url(key.public_bytes_raw())}


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except SignatureInvalidError:
        return False
    return True


def _size(curve: ec.EllipticCurve) -> int:
    return (curve.key_size + 7) // 8


def _ecdsa_forms(canonical: bytes, order: int) -> tuple[bytes, ...]:
    size = len(canonical) // 2
    r, s = int.from_bytes(canonical[:size], "big"), int.from_bytes(canonical[size:], "big")
    high = order - s
    return (
        canonical,
        r.to_bytes(size, "big") + high.to_bytes(size, "big"),
        encode_dss_signature(r, s),
        encode_dss_signature(r, high),
    )


def _canonical_ecdsa(signature: bytes, order: int) -> bytes:
    size = (order.bit_length() + 7) // 8
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        if len(signature) != 2 * size:
            return signature
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
    if not (0 < r < order and 0 < s < order):
        return signature
    return r.to_bytes(size, "big") + min(s, order - s).to_bytes(size, "big")


def _b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@lru_cache(maxsize=256)
def public_key(der: bytes) -> PublicKey:
    """As `PublicKey.parse`, remembered: parsing costs five times as much as a check."""
    return PublicKey.parse(der)
