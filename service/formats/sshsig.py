"""SSH signatures (OpenSSH's PROTOCOL.sshsig, version 1): what `ssh-keygen -Y sign` makes.

A signature holds only for one namespace, so that none which was made for something else (a
commit, a file) can ever pass. Ed25519, ECDSA and RSA with SHA-2 (RFC 8332) are taken, in
security keys too: those must say that somebody touched them (PROTOCOL.u2f). RSA with SHA-1
is not. The reserved field must be empty, as OpenSSH signs it, whatever it shows.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from service.formats.sshkeys import (
    RSA,
    Reader,
    SSHFormatError,
    SSHPublicKey,
    parse_blob,
    wire_string,
)

MAX_ARMOR_CHARS: Final = 16_384  # by RSA of 16,384 bits, with its key, has 6,000
_BEGIN: Final = "-----BEGIN SSH SIGNATURE-----"
_END: Final = "-----END SSH SIGNATURE-----"
_LINE_CHARS: Final = 70  # as ssh-keygen writes them
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = 1
_TOUCHED: Final = 0x01
_HASHES: Final = MappingProxyType({"sha256": hashes.SHA256(), "sha512": hashes.SHA512()})
_RSA_HASHES: Final = MappingProxyType(
    {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
)
_CURVE_HASHES: Final = MappingProxyType(
    {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
)


class SSHSignatureInvalidError(Exception):
    """It is a signature, and it does not hold; the text says why, and is safe to show."""


@dataclass(frozen=True, slots=True)
class UnverifiedSignature:
    """A signature as it came. Nothing in it is proven before `verify`."""

    blob: bytes
    key: SSHPublicKey
    namespace: str
    hash_name: str
    algorithm: str
    raw: bytes
    flags: int | None = None
    counter: int | None = None

    @property
    def armored(self) -> str:
        """The signature in the one form that `ssh-keygen -Y sign` writes."""
        text = base64.b64encode(self.blob).decode()
        lines = [text[at : at + _LINE_CHARS] for at in range(0, len(text), _LINE_CHARS)]
        return "\n".join([_BEGIN, *lines, _END, ""])


def parse(armored: str) -> UnverifiedSignature:
    """Read an armored signature.

    Raises:
        SSHFormatError: it is none, or one of a kind that is not taken.
    """
    if len(armored) > MAX_ARMOR_CHARS:
        raise SSHFormatError("it is too long for a signature")
    lines = armored.strip().splitlines()
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:  # noqa: PLR2004  # and a body
        raise SSHFormatError(f"it does not stand between {_BEGIN} and its end")
    body = "".join(lines[1:-1])
    if not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", body):
        raise SSHFormatError("it is not base64")
    try:
        return _parse_blob(base64.b64decode(body, validate=True))
    except binascii.Error as error:
        raise SSHFormatError("it is not base64") from error


def _parse_blob(blob: bytes) -> UnverifiedSignature:
    reader = Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.uint32() != _VERSION:
        raise SSHFormatError("it is no SSH signature of version 1")
    key = parse_blob(reader.string())
    namespace, reserved, hash_name = reader.name(), reader.string(), reader.name()
    if reserved:
        raise SSHFormatError("its reserved field is not empty")
    if hash_name not in _HASHES:
        raise SSHFormatError(f"messages hashed by {hash_name[:32]} are not taken")
    inner = Reader(reader.string())
    reader.end()
    algorithm, raw = inner.name(), inner.string()
    if algorithm not in (_RSA_HASHES if key.kind == RSA else {key.kind}):
        raise SSHFormatError(f"a {key.kind} key makes no signature of the kind {algorithm[:64]}")
    flags = counter = None
    if key.application is not None:
        flags, counter = inner.take(1)[0], inner.uint32()
    inner.end()
    return UnverifiedSignature(blob, key, namespace, hash_name, algorithm, raw, flags, counter)


def verify(
    unverified: UnverifiedSignature, message: bytes, *, key: SSHPublicKey, namespace: str
) -> None:
    """Return if `key` signed `message` for `namespace`.

    Raises:
        SSHSignatureInvalidError, SSHFormatError.
    """
    if unverified.key.blob != key.blob:
        raise SSHSignatureInvalidError(
            f"it is by the key {unverified.key.fingerprint}, and not by {key.fingerprint}"
        )
    if unverified.namespace != namespace:
        raise SSHSignatureInvalidError(
            f"it was made for the namespace {unverified.namespace[:100]}, and not for {namespace}"
        )
    digest = hashes.Hash(_HASHES[unverified.hash_name])
    digest.update(message)
    signed = _MAGIC + b"".join(
        wire_string(part)
        for part in (
            unverified.namespace.encode(),
            b"",
            unverified.hash_name.encode(),
            digest.finalize(),
        )
    )
    if key.application is not None:
        signed = _in_security_key(unverified, signed, key.application)
    try:
        _verify(unverified, signed, key)
    except InvalidSignature as error:
        raise SSHSignatureInvalidError("it was not made over exactly these bytes") from error


def _in_security_key(unverified: UnverifiedSignature, signed: bytes, application: bytes) -> bytes:
    """Return what the security key signed (PROTOCOL.u2f, "SSH U2F Signatures")."""
    flags, counter = unverified.flags or 0, unverified.counter or 0
    if not flags & _TOUCHED:
        raise SSHSignatureInvalidError("nobody touched the security key that made it")
    return (
        sha256(application).digest()
        + flags.to_bytes(1, "big")
        + counter.to_bytes(4, "big")
        + sha256(signed).digest()
    )


def _verify(unverified: UnverifiedSignature, signed: bytes, key: SSHPublicKey) -> None:
    """Raises InvalidSignature, SSHFormatError."""
    match key.material:
        case ed25519.Ed25519PublicKey() as public:
            public.verify(unverified.raw, signed)
        case ec.EllipticCurvePublicKey() as public:
            reader = Reader(unverified.raw)
            encoded = encode_dss_signature(reader.positive(), reader.positive())
            reader.end()
            public.verify(encoded, signed, ec.ECDSA(_CURVE_HASHES[public.curve.name]))
        case rsa.RSAPublicKey() as public:
            # RFC 8332, 3, takes no shorter encoding, and OpenSSH has long written none.
            public.verify(
                unverified.raw, signed, padding.PKCS1v15(), _RSA_HASHES[unverified.algorithm]
            )
