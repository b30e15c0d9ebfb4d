"""Signed notes (C2SP signed-note): a text, a blank line, and one line for each signature.

A note that was parsed says nothing yet: its text is `unverified_…` until a key that the reader
trusts has been checked. Signatures of keys that the reader does not know are no fault.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from service.domain.keys import Algorithm, Scheme
from service.domain.public_keys import SignatureInvalidError, public_key
from service.translog.errors import MalformedError

KEY_ID_BYTES: Final = 4
MAX_SIGNATURES: Final = 64  # the specification asks for 16 at least
MAX_NOTE_BYTES: Final = 256 * 1024  # so many of ML-DSA-44, with room
_DASH: Final = "\N{EM DASH} "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who says to have signed, the short id of the key, and the signature."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"{_DASH}{self.name} {base64_text(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Parse a line, its newline included. Raises MalformedError."""
        name, _, encoded = line.removeprefix(_DASH).removesuffix("\n").partition(" ")
        if not line.startswith(_DASH) or not line.endswith("\n") or not is_key_name(name):
            raise MalformedError("not a signature line of a note")
        raw = decode_base64(encoded)
        if len(raw) <= KEY_ID_BYTES:
            raise MalformedError("a signature line holds no signature")
        return cls(name, raw[:KEY_ID_BYTES], raw[KEY_ID_BYTES:])


@dataclass(frozen=True, slots=True)
class Note:
    """`unverified_text` ends in a newline."""

    unverified_text: str
    signatures: tuple[NoteSignature, ...]

    def render(self) -> str:
        return self.unverified_text + "\n" + "".join(line.line() for line in self.signatures)

    @classmethod
    def parse(cls, content: str) -> Note:
        """Raises MalformedError."""
        if len(content) > MAX_NOTE_BYTES or _CONTROL.search(content):
            raise MalformedError("not a note: too long, or with control characters")
        # The last blank line ends the text, which may hold others.
        before, blank, after = content.rpartition("\n\n")
        lines = split_lines(after)
        if not blank or not lines:
            raise MalformedError("not a note: no signatures under a blank line")
        if len(lines) > MAX_SIGNATURES:
            raise MalformedError(f"a note with more than {MAX_SIGNATURES} signatures")
        return cls(before + "\n", tuple(NoteSignature.parse(line) for line in lines))


def split_lines(content: str) -> list[str]:
    """Return the lines with their newlines; only a newline ends one. Raises MalformedError."""
    *lines, rest = content.split("\n")
    if rest:
        raise MalformedError("the last line has no end")
    return [f"{line}\n" for line in lines]


def sign_text(text: str, signatures: Iterable[NoteSignature]) -> str:
    """Return the note of a text that ends in a newline, with signatures made over it."""
    return Note(text, tuple(signatures)).render()


def is_key_name(name: str) -> bool:
    """Whether `name` may stand in a signature line: not empty, no spaces, no plus, no controls."""
    return bool(name) and name.isprintable() and "+" not in name and not any(map(str.isspace, name))


def ecdsa_key_id(spki: bytes) -> bytes:
    """Return the key id of an ECDSA key (signature type 0x02): of the DER alone, as Rekor does."""
    return sha256(spki).digest()[:KEY_ID_BYTES]


def typed_key_id(name: str, kind: int, key: bytes) -> bytes:
    """Return the key id that the specification recommends for every other kind of key."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:KEY_ID_BYTES]


def check_ecdsa(note: Note, *, name: str, spki: bytes) -> str:
    """Check the signature of an ECDSA P-256 key over SHA-256, and return the text it is over.

    Raises:
        SignatureInvalidError: there is none by this key, or one that is wrong.
    """
    key = public_key(spki)
    if key.algorithm is not Algorithm.EC_P256:
        raise SignatureInvalidError("a log's key is ec-p256")
    key_id = ecdsa_key_id(spki)
    found = [s for s in note.signatures if (s.name, s.key_id) == (name, key_id)]
    if not found:
        raise SignatureInvalidError(f"the note is not signed by this key of {name}")
    for signature in found:
        key.verify(Scheme.ECDSA_P256_SHA256, note.unverified_text.encode(), signature.signature)
    return note.unverified_text


def base64_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def decode_base64(text: str) -> bytes:
    """Decode standard base64 (RFC 4648, section 4) in its one canonical spelling.

    Raises:
        MalformedError: it is not that.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("not base64") from error
    if base64_text(raw) != text:
        raise MalformedError("not base64 in its canonical form")
    return raw
