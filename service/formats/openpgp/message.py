"""OpenPGP (RFC 4880, RFC 6637; EdDSA as GnuPG's draft-koch-eddsa-for-openpgp) without gpg.

Just what containers/image needs of it: a public key with its self-certification, and a signed
message around a payload. Both are made of packets whose bytes to be signed come from here and
whose signatures come from the HSM: no secret key is ever written in OpenPGP's form.

What is recorded as `payload` is everything that is hashed: the content, the head of the
signature packet with its hashed subpackets, and the trailer (RFC 4880, 5.2.4).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1, sha256, sha384
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import public_key
from service.formats.openpgp.packets import (
    MessageMalformedError,
    integer,
    packet,
    read_integers,
    read_packets,
    read_subpackets,
    subpacket,
)

MAX_MESSAGE_BYTES: Final = 64 * 1024  # a payload of some hundred bytes and one signature

_ONE_PASS, _SIGNATURE, _PUBLIC_KEY, _LITERAL, _USER_ID = 4, 2, 6, 11, 13
_BINARY, _CERTIFICATION = 0x00, 0x13
_RSA, _ECDSA, _EDDSA = 1, 19, 22
_SHA256, _SHA384 = 8, 9
_VERSION: Final = 4
_CREATED, _KEY_FLAGS, _ISSUER, _ISSUER_FINGERPRINT, _HASHES = 2, 27, 16, 33, 21
_MAY_CERTIFY_AND_SIGN: Final = 0x03
_TRAILER: Final = struct.Struct(">BBI")
_HEAD: Final = struct.Struct(">BBBBH")

_LITERAL_HEAD: Final = 6  # "b", an empty file name, no time
_FINGERPRINT_BYTES: Final = 20
_KEY_ID_BYTES: Final = 8
_MODULI: Final = (256, 384, 512)
_ED25519_HALF: Final = 32

_CURVES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: bytes.fromhex("2a8648ce3d030107"),
        Algorithm.EC_P384: bytes.fromhex("2b81040022"),
        Algorithm.ED25519: bytes.fromhex("2b06010401da470f01"),
    }
)
SCHEMES: Final = MappingProxyType(
    {
        Algorithm.EC_P256: Scheme.ECDSA_P256_SHA256,
        Algorithm.EC_P384: Scheme.ECDSA_P384_SHA384,
        Algorithm.RSA_2048: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_3072: Scheme.RSA_PKCS1_SHA256,
        Algorithm.RSA_4096: Scheme.RSA_PKCS1_SHA256,
        Algorithm.ED25519: Scheme.ED25519,
    }
)
_NUMBERS: Final = MappingProxyType(
    {
        Scheme.ECDSA_P256_SHA256: (_ECDSA, _SHA256),
        Scheme.ECDSA_P384_SHA384: (_ECDSA, _SHA384),
        Scheme.RSA_PKCS1_SHA256: (_RSA, _SHA256),
        Scheme.ED25519: (_EDDSA, _SHA256),
    }
)


@dataclass(frozen=True, slots=True)
class PublicKeyPacket:
    """A version 4 public key: the time it was made is part of its fingerprint."""

    body: bytes
    scheme: Scheme

    @classmethod
    def of(cls, public_key_der: bytes, created_at: datetime) -> PublicKeyPacket:
        """Return the packet of a SubjectPublicKeyInfo."""
        algorithm = public_key(public_key_der).algorithm
        scheme = SCHEMES[algorithm]
        number, _ = _NUMBERS[scheme]
        head = struct.pack(">BIB", _VERSION, _seconds(created_at), number)
        return cls(head + _material(public_key_der, algorithm), scheme)

    @property
    def fingerprint(self) -> bytes:
        """Return the 20 bytes of RFC 4880, 12.2."""
        return sha1(_hashed_key(self.body)).digest()  # noqa: S324  # the format's own name for it

    @property
    def key_id(self) -> bytes:
        return self.fingerprint[-_KEY_ID_BYTES:]


@dataclass(frozen=True, slots=True)
class UnverifiedMessage:
    """What a signed message says; `payload` as it is recorded, `signature` as we encode it."""

    unverified_content: bytes
    unverified_created_at: datetime
    unverified_fingerprint: bytes | None
    payload: bytes
    signature: bytes
    scheme: Scheme


def signing_payload(content: bytes, key: PublicKeyPacket, at: datetime) -> bytes:
    """Return everything that a signature over `content` hashes."""
    hashed = subpacket(_ISSUER_FINGERPRINT, bytes([_VERSION]) + key.fingerprint) + subpacket(
        _CREATED, struct.pack(">I", _seconds(at))
    )
    return content + _with_trailer(_BINARY, key.scheme, hashed)


def certification_payload(key: PublicKeyPacket, user_id: str) -> bytes:
    """Return everything that the self-certification of a key hashes (RFC 4880, 5.2.4)."""
    name = user_id.encode()
    created = key.body[1:5]
    hashed = (
        subpacket(_ISSUER_FINGERPRINT, bytes([_VERSION]) + key.fingerprint)
        + subpacket(_CREATED, created)
        + subpacket(_KEY_FLAGS, bytes([_MAY_CERTIFY_AND_SIGN]))
        + subpacket(_HASHES, bytes([_NUMBERS[key.scheme][1]]))
    )
    told = b"\xb4" + struct.pack(">I", len(name)) + name
    return _hashed_key(key.body) + told + _with_trailer(_CERTIFICATION, key.scheme, hashed)


def message(payload: bytes, scheme: Scheme) -> bytes:
    """Return what the key signs: the payload, which the scheme hashes, or for Ed25519 its hash."""
    return sha256(payload).digest() if scheme is Scheme.ED25519 else payload


def transferable_key(key: PublicKeyPacket, user_id: str, signature: bytes) -> bytes:
    """Return the public key as files hold it: key, user id, certification. Not armored."""
    payload = certification_payload(key, user_id)
    return (
        packet(_PUBLIC_KEY, key.body)
        + packet(_USER_ID, user_id.encode())
        + packet(_SIGNATURE, _signature_body(payload, signature, key.key_id, key.scheme))
    )


def signed_message(payload: bytes, signature: bytes, scheme: Scheme) -> bytes:
    """Return the message around a payload of `signing_payload` and its signature.

    Raises:
        MessageMalformedError: it is no such payload.
    """
    content, head = _split(payload)
    issuer = read_subpackets(head[_HEAD.size :]).get(_ISSUER_FINGERPRINT, b"")
    if len(issuer) != 1 + _FINGERPRINT_BYTES:
        raise MessageMalformedError("the payload names no key")
    key_id = issuer[-_KEY_ID_BYTES:]
    algorithm, hashing = _NUMBERS[scheme]
    one_pass = bytes([3, _BINARY, hashing, algorithm]) + key_id + b"\1"
    literal = b"b\0".ljust(_LITERAL_HEAD, b"\0") + content
    return (
        packet(_ONE_PASS, one_pass)
        + packet(_LITERAL, literal)
        + packet(_SIGNATURE, _signature_body(payload, signature, key_id, scheme))
    )


def content_of(payload: bytes) -> bytes:
    """Return the content inside a payload.

    Raises:
        MessageMalformedError: it is none.
    """
    return _split(payload)[0]


def parse_message(raw: bytes) -> UnverifiedMessage:
    """Read a message of exactly the form that `signed_message` writes.

    Raises:
        MessageMalformedError: it is none.
    """
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageMalformedError("the message is too long")
    packets = read_packets(raw)
    if [tag for tag, _ in packets] != [_ONE_PASS, _LITERAL, _SIGNATURE]:
        raise MessageMalformedError("not a one-pass signature around literal data")
    literal, body = packets[1][1], packets[2][1]
    if literal[:2] != b"b\0":
        raise MessageMalformedError("the literal data is not binary")
    content = literal[_LITERAL_HEAD:]
    try:
        version, kind, algorithm, hashing, length = _HEAD.unpack_from(body)
        head = body[: _HEAD.size + length]
        subpackets = read_subpackets(body[_HEAD.size : _HEAD.size + length])
        rest = body[_HEAD.size + length :]
        (unhashed,) = struct.unpack_from(">H", rest)
        left, integers = rest[2 + unhashed : 4 + unhashed], rest[4 + unhashed :]
        schemes = [s for s, numbers in _NUMBERS.items() if numbers == (algorithm, hashing)]
        (created,) = struct.unpack(">I", subpackets[_CREATED])
    except (struct.error, KeyError, IndexError) as error:
        raise MessageMalformedError("the signature packet is malformed") from error
    if version != _VERSION or kind != _BINARY or not schemes or len(head) != _HEAD.size + length:
        raise MessageMalformedError("the signature is of a kind that is not read")
    payload = content + head + _TRAILER.pack(_VERSION, 0xFF, len(head))
    if _digest(payload, schemes[0])[:2] != left:
        raise MessageMalformedError("the signature packet is about other content")
    issuer = subpackets.get(_ISSUER_FINGERPRINT)
    return UnverifiedMessage(
        unverified_content=content,
        unverified_created_at=datetime.fromtimestamp(created, UTC),
        unverified_fingerprint=None if issuer is None else issuer[1:],
        payload=payload,
        signature=_from_integers(integers, schemes[0]),
        scheme=schemes[0],
    )


def _split(payload: bytes) -> tuple[bytes, bytes]:
    """Return content and head of a payload."""
    try:
        version, mark, length = _TRAILER.unpack(payload[-_TRAILER.size :])
    except struct.error as error:
        raise MessageMalformedError("the payload has no trailer") from error
    start = len(payload) - _TRAILER.size - length
    if (version, mark) != (_VERSION, 0xFF) or length < _HEAD.size or start < 0:
        raise MessageMalformedError("the payload has no trailer")
    return payload[:start], payload[start : -_TRAILER.size]


def _with_trailer(kind: int, scheme: Scheme, hashed: bytes) -> bytes:
    algorithm, hashing = _NUMBERS[scheme]
    head = _HEAD.pack(_VERSION, kind, algorithm, hashing, len(hashed)) + hashed
    return head + _TRAILER.pack(_VERSION, 0xFF, len(head))


def _signature_body(payload: bytes, signature: bytes, key_id: bytes, scheme: Scheme) -> bytes:
    unhashed = subpacket(_ISSUER, key_id)
    left = _digest(payload, scheme)[:2]
    return (
        _split(payload)[1]
        + struct.pack(">H", len(unhashed))
        + unhashed
        + left
        + _to_integers(signature, scheme)
    )


def _digest(payload: bytes, scheme: Scheme) -> bytes:
    hashing = sha384 if _NUMBERS[scheme][1] == _SHA384 else sha256
    return hashing(payload).digest()


def _to_integers(signature: bytes, scheme: Scheme) -> bytes:
    match _NUMBERS[scheme][0]:
        case 1:
            return integer(int.from_bytes(signature, "big"))
        case 19:
            r, s = decode_dss_signature(signature)
            return integer(r) + integer(s)
        case _:
            half = len(signature) // 2
            r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            return integer(r) + integer(s)


def _from_integers(raw: bytes, scheme: Scheme) -> bytes:
    match _NUMBERS[scheme][0], read_integers(raw):
        case 1, [number]:
            # An RSA signature has the length of its modulus, whatever its first bits are.
            sizes = [size for size in _MODULI if number.bit_length() <= size * 8]
            if sizes:
                return number.to_bytes(sizes[0], "big")
        case 19, [r, s]:
            return encode_dss_signature(r, s)
        case 22, [r, s] if max(r, s).bit_length() <= _ED25519_HALF * 8:
            return r.to_bytes(_ED25519_HALF, "big") + s.to_bytes(_ED25519_HALF, "big")
    raise MessageMalformedError("the signature has other numbers than its algorithm")


def _material(der: bytes, algorithm: Algorithm) -> bytes:
    """Return the algorithm-specific part of a public key packet (RFC 4880, 5.5.2; RFC 6637, 9)."""
    match load_der_public_key(der):
        case rsa.RSAPublicKey() as key:
            numbers = key.public_numbers()
            return integer(numbers.n) + integer(numbers.e)
        case ec.EllipticCurvePublicKey() as key:
            point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case ed25519.Ed25519PublicKey() as key:
            point = b"\x40" + key.public_bytes_raw()
        case _:
            raise ValueError("a key of a kind that OpenPGP does not know")
    curve = _CURVES[algorithm]
    return bytes([len(curve)]) + curve + integer(int.from_bytes(point, "big"))


def _hashed_key(body: bytes) -> bytes:
    return b"\x99" + struct.pack(">H", len(body)) + body


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
