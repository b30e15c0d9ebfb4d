"""OpenSSH public keys (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4; OpenSSH's PROTOCOL.u2f).

Taken: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `-nistp384`, `-nistp521`, `ssh-rsa` of 2,048 bits
and more, and the two kinds that live in security keys (`sk-ssh-ed25519@openssh.com`,
`sk-ecdsa-sha2-nistp256@openssh.com`). Certificates and DSA are not. Each encoding must be the
only one of its value, so that one key has one line and one fingerprint.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MAX_LINE_CHARS: Final = 8192  # RSA of 16,384 bits, the most that OpenSSH makes, has 2,800
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16_384
_LINE: Final = re.compile(r"(?P<kind>[a-z0-9@.-]{1,64}) (?P<blob>[A-Za-z0-9+/]+={0,2})(?: [^\n]*)?")
_LENGTH_BYTES: Final = 4
_HIGH_BIT: Final = 0x80

ED25519: Final = "ssh-ed25519"
RSA: Final = "ssh-rsa"
SK_ED25519: Final = "sk-ssh-ed25519@openssh.com"
SK_ECDSA: Final = "sk-ecdsa-sha2-nistp256@openssh.com"
CURVES: Final = MappingProxyType(
    {
        "ecdsa-sha2-nistp256": ("nistp256", ec.SECP256R1()),
        "ecdsa-sha2-nistp384": ("nistp384", ec.SECP384R1()),
        "ecdsa-sha2-nistp521": ("nistp521", ec.SECP521R1()),
        SK_ECDSA: ("nistp256", ec.SECP256R1()),
    }
)

Material = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class SSHFormatError(ValueError):
    """It is not what it should be; the text says why, and is safe to show."""


class Reader:
    """Reads SSH's wire types (RFC 4251, 5) and refuses what is short, long or not canonical."""

    def __init__(self, data: bytes) -> None:
        self._rest = memoryview(data)

    def take(self, count: int) -> bytes:
        if len(self._rest) < count:
            raise SSHFormatError("it ends too early")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return bytes(taken)

    def uint32(self) -> int:
        return int.from_bytes(self.take(_LENGTH_BYTES), "big")

    def string(self) -> bytes:
        return self.take(self.uint32())

    def name(self) -> str:
        raw = self.string()
        if not (raw.isascii() and raw.decode("ascii").isprintable()):
            raise SSHFormatError("a name in it is not printable ASCII")
        return raw.decode("ascii")

    def positive(self) -> int:
        """Read an mpint greater than zero."""
        raw = self.string()
        if (
            not raw
            or raw[0] & _HIGH_BIT
            or (raw[0] == 0 and not (raw[1:2] or b"\0")[0] & _HIGH_BIT)
        ):
            raise SSHFormatError("a number in it is not positive, or not in its shortest form")
        return int.from_bytes(raw, "big")

    def end(self) -> None:
        if self._rest:
            raise SSHFormatError("something follows its end")


def wire_string(data: bytes) -> bytes:
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


@dataclass(frozen=True, slots=True)
class SSHPublicKey:
    """A public key. `application` is that of a key in a security key, else None."""

    kind: str
    blob: bytes
    material: Material
    application: bytes | None = None

    @property
    def line(self) -> str:
        """The key as one line of `authorized_keys`, without a comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows."""
        return "SHA256:" + base64.b64encode(sha256(self.blob).digest()).decode().rstrip("=")


def parse_line(text: str) -> SSHPublicKey:
    """Read one line of OpenSSH, as in `id_ed25519.pub`; a comment is left out.

    Raises:
        SSHFormatError.
    """
    if len(text) > MAX_LINE_CHARS:
        raise SSHFormatError("it is too long for a public key")
    match = _LINE.fullmatch(text.strip())
    if match is None:
        raise SSHFormatError("it is not one line of OpenSSH, as in id_ed25519.pub")
    try:
        blob = base64.b64decode(match["blob"], validate=True)
    except binascii.Error as error:
        raise SSHFormatError("it is not base64") from error
    key = parse_blob(blob)
    if key.kind != match["kind"]:
        raise SSHFormatError("it says one kind of key and holds another")
    if key.line.partition(" ")[2] != match["blob"]:
        raise SSHFormatError("its base64 is not canonical")
    return key


def parse_blob(blob: bytes) -> SSHPublicKey:
    """Read a public key in its wire form. Raises SSHFormatError."""
    reader = Reader(blob)
    kind = reader.name()
    try:
        material = _material(kind, reader)
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, SSHFormatError):
            raise
        raise SSHFormatError("it holds no valid key") from error
    application = reader.string() if kind in {SK_ED25519, SK_ECDSA} else None
    reader.end()
    return SSHPublicKey(kind, blob, material, application)


def _material(kind: str, reader: Reader) -> Material:
    if kind in {ED25519, SK_ED25519}:
        return ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
    if kind in CURVES:
        name, curve = CURVES[kind]
        if reader.name() != name:
            raise SSHFormatError("its curve is not that of its kind")
        point = reader.string()
        if point[:1] != b"\x04":  # RFC 5656, 3.1: OpenSSH writes and takes uncompressed points
            raise SSHFormatError("its point is compressed")
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    if kind == RSA:
        exponent, modulus = reader.positive(), reader.positive()
        if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
            raise SSHFormatError(f"RSA keys need {MIN_RSA_BITS} bits, and {MAX_RSA_BITS} at most")
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    raise SSHFormatError(f"keys of the kind {kind[:64]} are not taken")
