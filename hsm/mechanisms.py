"""The one table of what is signed how, and of how its keys are made.

Hashes are made in software and the token gets what every vendor takes: CKM_ECDSA over the
hash (FIPS 186-5, 6.4), CKM_RSA_PKCS over a DigestInfo (RFC 8017, 9.2), CKM_RSA_PKCS_PSS over
the hash with a salt of its length (RFC 8017, 9.1), CKM_EDDSA over the message (RFC 8032).
Lengths are checked on the way in and out, because tokens do not: SoftHSM signs an empty hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import MGF, KeyType, Mechanism

if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Callable


class WrongLengthError(ValueError):
    """A hash or a signature does not have the length that its mechanism demands."""


class Algorithm(StrEnum):
    """A kind of key pair."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ED25519 = "ed25519"


class Scheme(StrEnum):
    """A way of signing: padding or curve, and the hash."""

    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    ECDSA_P384_SHA256 = "ecdsa-p384-sha256"
    ECDSA_P384_SHA384 = "ecdsa-p384-sha384"
    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ED25519 = "ed25519"


@dataclass(frozen=True, slots=True)
class KeyKind:
    """How a key pair is generated: a named curve (DER of its OID or name), or a modulus."""

    key_type: KeyType
    mechanism: Mechanism
    curve: bytes | None = None
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Hash:
    """`digest_info` is what stands before the hash in a DigestInfo (RFC 8017, 9.2, note 1)."""

    new: Callable[[bytes], HASH]
    length: int
    mechanism: Mechanism
    mgf: MGF
    digest_info: bytes


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one scheme is done with PKCS#11.

    `coordinate` is the length of each half of an ECDSA signature, which PKCS#11 returns as
    r and s side by side; where it is None the signature is returned as it came, and
    `raw_length` is known only from the key (RSA) or fixed (Ed25519).
    """

    key_type: KeyType
    mechanism: Mechanism
    hash: Hash | None
    parameter: tuple[Mechanism, MGF, int] | None = None
    with_digest_info: bool = False
    coordinate: int | None = None
    raw_length: int | None = None

    def prepare(self, message: bytes) -> bytes:
        """Return what the token is given to sign for `message`."""
        if self.hash is None:
            return message
        return self.prepare_hash(self.hash.new(message).digest())

    def prepare_hash(self, digest: bytes) -> bytes:
        """As `prepare`, for a hash that was made elsewhere.

        Raises:
            WrongLengthError: it is no hash of this scheme.
        """
        if self.hash is None or len(digest) != self.hash.length:
            raise WrongLengthError(f"a hash of {len(digest)} bytes does not fit the scheme")
        return self.hash.digest_info + digest if self.with_digest_info else digest

    def encode(self, raw: bytes) -> bytes:
        """Return the signature as verifiers take it: ECDSA as DER (RFC 3279, 2.2.3).

        Raises:
            WrongLengthError: the token returned something else than a signature.
        """
        if self.raw_length is not None and len(raw) != self.raw_length:
            raise WrongLengthError(f"the token returned a signature of {len(raw)} bytes")
        if self.coordinate is None:
            return raw
        r, s = raw[: self.coordinate], raw[self.coordinate :]
        return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


_SHA256 = Hash(
    hashlib.sha256,
    32,
    Mechanism.SHA256,
    MGF.SHA256,
    bytes.fromhex("3031300d060960864801650304020105000420"),
)
_SHA384 = Hash(
    hashlib.sha384,
    48,
    Mechanism.SHA384,
    MGF.SHA384,
    bytes.fromhex("3041300d060960864801650304020205000430"),
)
_SHA512 = Hash(
    hashlib.sha512,
    64,
    Mechanism.SHA512,
    MGF.SHA512,
    bytes.fromhex("3051300d060960864801650304020305000440"),
)


def _ecdsa(hashed: Hash, coordinate: int) -> Recipe:
    return Recipe(
        KeyType.EC, Mechanism.ECDSA, hashed, coordinate=coordinate, raw_length=2 * coordinate
    )


def _pss(hashed: Hash) -> Recipe:
    parameter = (hashed.mechanism, hashed.mgf, hashed.length)
    return Recipe(KeyType.RSA, Mechanism.RSA_PKCS_PSS, hashed, parameter=parameter)


RECIPES: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: _ecdsa(_SHA256, 32),
        Scheme.ECDSA_P384_SHA256: _ecdsa(_SHA256, 48),
        Scheme.ECDSA_P384_SHA384: _ecdsa(_SHA384, 48),
        Scheme.RSA_PKCS1_SHA256: Recipe(
            KeyType.RSA, Mechanism.RSA_PKCS, _SHA256, with_digest_info=True
        ),
        Scheme.RSA_PSS_SHA256: _pss(_SHA256),
        Scheme.RSA_PSS_SHA384: _pss(_SHA384),
        Scheme.RSA_PSS_SHA512: _pss(_SHA512),
        Scheme.ED25519: Recipe(KeyType.EC_EDWARDS, Mechanism.EDDSA, None, raw_length=64),
    }
)


def _curve(oid: str) -> KeyKind:
    return KeyKind(KeyType.EC, Mechanism.EC_KEY_PAIR_GEN, curve=bytes.fromhex(oid))


def _rsa(bits: int) -> KeyKind:
    return KeyKind(KeyType.RSA, Mechanism.RSA_PKCS_KEY_PAIR_GEN, bits=bits)


KEY_KINDS: Final = MappingProxyType(
    {
        Algorithm.EC_P256: _curve("06082a8648ce3d030107"),
        Algorithm.EC_P384: _curve("06052b81040022"),
        Algorithm.RSA_2048: _rsa(2048),
        Algorithm.RSA_3072: _rsa(3072),
        Algorithm.RSA_4096: _rsa(4096),
        Algorithm.ED25519: KeyKind(
            KeyType.EC_EDWARDS,
            Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            # The PrintableString "edwards25519" of PKCS#11 3.0, 2.3.5.
            curve=bytes.fromhex("130c656477617264733235353139"),
        ),
    }
)
