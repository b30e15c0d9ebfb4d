"""Public keys as the token tells them, turned into DER SubjectPublicKeyInfo (RFC 5280, 4.1).

CKA_EC_POINT is a DER OCTET STRING around the point (PKCS#11 2.40, 2.3.3); some modules leave
the wrapping out, and both are taken. Ed25519 keys are encoded as RFC 8410, 4 says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType

from hsm.mechanisms import KEY_KINDS, Algorithm

if TYPE_CHECKING:
    import pkcs11

_CURVES: Final = {Algorithm.EC_P256: ec.SECP256R1(), Algorithm.EC_P384: ec.SECP384R1()}
_ALGORITHMS: Final = {
    **{kind.curve: algorithm for algorithm, kind in KEY_KINDS.items() if kind.curve is not None},
    # The OID of RFC 8410, 3, beside the name of PKCS#11 3.0.
    bytes.fromhex("06032b6570"): Algorithm.ED25519,
}
_MODULI: Final = {kind.bits: algorithm for algorithm, kind in KEY_KINDS.items() if kind.bits}
_ED25519_BYTES: Final = 32
_OCTET_STRING: Final = 0x04
_SHORT_LENGTH: Final = 0x80  # a DER length below this stands for itself


def subject_public_key_info(key: pkcs11.Object, algorithm: Algorithm) -> bytes:
    """Read the public key object.

    Raises:
        ValueError: what the token says is no public key of that algorithm.
        pkcs11.PKCS11Error
    """
    kind = KEY_KINDS[algorithm]
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
    if kind.key_type is KeyType.RSA:
        exponent = int.from_bytes(key[Attribute.PUBLIC_EXPONENT], "big")
        modulus = int.from_bytes(key[Attribute.MODULUS], "big")
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        if public.key_size != kind.bits:
            raise ValueError(f"the modulus has {public.key_size} bits")
    elif algorithm is Algorithm.ED25519:
        point = unwrap_point(key[Attribute.EC_POINT], _ED25519_BYTES)
        public = ed25519.Ed25519PublicKey.from_public_bytes(point)
    else:
        curve = _CURVES[algorithm]
        point = unwrap_point(key[Attribute.EC_POINT], 2 * ((curve.key_size + 7) // 8) + 1)
        public = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def algorithm_of(key: pkcs11.Object) -> Algorithm:
    """Tell the kind of a public key object.

    Raises:
        ValueError: it is of none that we know.
        pkcs11.PKCS11Error
    """
    kind = key[Attribute.KEY_TYPE]
    if kind == KeyType.RSA:
        found = _MODULI.get(int.from_bytes(key[Attribute.MODULUS], "big").bit_length())
    elif kind in (KeyType.EC, KeyType.EC_EDWARDS):
        found = _ALGORITHMS.get(key[Attribute.EC_PARAMS])
    else:
        found = None
    if found is None:
        raise ValueError("a key of another kind or size")
    return found


def unwrap_point(value: bytes, length: int) -> bytes:
    """Return the point of `length` bytes, out of its OCTET STRING if it is in one.

    Raises:
        ValueError: it is neither.
    """
    if len(value) == length:
        return value
    if (
        length < _SHORT_LENGTH
        and len(value) == length + 2
        and value[:2] == bytes((_OCTET_STRING, length))
    ):
        return value[2:]
    raise ValueError(f"a point of {length} bytes does not fit into {len(value)}")
