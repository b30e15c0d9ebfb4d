"""Private keys for `cryptography`'s X.509 builders that only name a key in the HSM.

The builders take any subclass of its private key classes: they ask it for the public key, and
for a signature over what they have encoded. That signature goes through the Signer, so it has
passed the software check against the pinned public key before it gets into a certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from service.domain.errors import ServiceError
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.domain.public_keys import public_key
from service.ports.hsm import Signer, ToSign

HSMKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
_Sign = Callable[[bytes], bytes]

SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
        # RFC 5480 leaves the hash open; every verifier pairs P-384 with SHA-384 in certificates.
        Algorithm.EC_P384: Scheme.ECDSA_P384_SHA384,
        Algorithm.RSA_2048: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_3072: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_4096: Scheme.RSA_PKCS1_SHA256,
        Algorithm.ED25519: Scheme.ED25519,
    }
)
"""How a key signs certificates and requests, whatever else it signs; a test holds it complete."""

_HASHES: Final[MappingProxyType[Scheme, hashes.SHA256 | hashes.SHA384 | None]] = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: hashes.SHA256(),
        Scheme.ECDSA_P384_SHA384: hashes.SHA384(),
        Scheme.RSA_PKCS1_SHA256: hashes.SHA256(),
        Scheme.ED25519: None,
    }
)


def hash_for(version: KeyVersion) -> hashes.SHA256 | hashes.SHA384 | None:
    """Return what a builder's `sign` wants beside the key."""
    return _HASHES[SCHEMES[version.algorithm]]


def private_key(signer: Signer, version: KeyVersion) -> HSMKey:
    """Return a private key that signs in the HSM, for the builders and nothing else.

    Its `sign` raises the ServiceError of the Signer; the builders pass it on.
    """
    scheme = SCHEMES[version.algorithm]

    def sign(message: bytes) -> bytes:
        pinned = public_key(version.public_key)
        item = ToSign(message, lambda signature: pinned.verify(scheme, message, signature))
        [result] = signer.sign(version, scheme, [item])
        if isinstance(result, ServiceError):
            raise result
        return result

    public = load_der_public_key(version.public_key)
    match public:
        case ec.EllipticCurvePublicKey():
            return _ECKey(public, sign)
        case rsa.RSAPublicKey():
            return _RSAKey(public, sign)
        case ed25519.Ed25519PublicKey():
            return _Ed25519Key(public, sign)
        case _:
            raise TypeError("a pinned public key of no known kind")


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("the private key is in the HSM and does not leave it")


class _ECKey(ec.EllipticCurvePrivateKey):
    def __init__(self, public: ec.EllipticCurvePublicKey, sign: _Sign) -> None:
        self._public = public
        self._sign = sign

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        # The scheme has fixed the hash, and the builder was given the same.
        return self._sign(bytes(data))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def __copy__(self) -> _ECKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _ECKey:
        return self

    exchange = private_numbers = private_bytes = cast("Any", _refuse)


class _RSAKey(rsa.RSAPrivateKey):
    def __init__(self, public: rsa.RSAPublicKey, sign: _Sign) -> None:
        self._public = public
        self._sign = sign

    def sign(self, data: Any, padding: padding.AsymmetricPadding, algorithm: Any) -> bytes:
        # PKCS#1 v1.5 is the builders' default, and what the scheme says.
        return self._sign(bytes(data))

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def __copy__(self) -> _RSAKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _RSAKey:
        return self

    decrypt = private_numbers = private_bytes = cast("Any", _refuse)


class _Ed25519Key(ed25519.Ed25519PrivateKey):
    def __init__(self, public: ed25519.Ed25519PublicKey, sign: _Sign) -> None:
        self._public = public
        self._sign = sign

    def sign(self, data: Any) -> bytes:
        return self._sign(bytes(data))

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return self._public

    def __copy__(self) -> _Ed25519Key:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _Ed25519Key:
        return self

    private_bytes = private_bytes_raw = cast("Any", _refuse)
