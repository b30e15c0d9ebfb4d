"""Witnesses' cosignatures on checkpoints (C2SP tlog-cosignature): Ed25519 (v1) and ML-DSA-44.

A cosignature says that its witness saw the log grow consistently up to this checkpoint, and
when. Lines by keys that are not configured are ignored; one by a known key must verify.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from service.domain.public_keys import SignatureInvalidError
from service.translog.checkpoints import Checkpoint
from service.translog.errors import MalformedError
from service.translog.notes import (
    Note,
    NoteSignature,
    base64_text,
    decode_base64,
    is_key_name,
    split_lines,
    typed_key_id,
)

_TIME_BYTES: Final = 8
_LAST_TIME: Final = (1 << 63) - 1
_SUBTREE_LABEL: Final = b"subtree/v1\n\x00"
_MAX_VECTOR: Final = 255


class WitnessKind(IntEnum):
    """The signature type of the note specification."""

    ED25519 = 0x04
    ML_DSA_44 = 0x06


_KEY_BYTES: Final = {WitnessKind.ED25519: 32, WitnessKind.ML_DSA_44: 1312}


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness that somebody configured; to hold one is proof that its key was parsed."""

    name: str
    kind: WitnessKind
    key: bytes

    @property
    def key_id(self) -> bytes:
        return typed_key_id(self.name, self.kind, self.key)

    def vkey(self) -> str:
        encoded = base64_text(bytes([self.kind]) + self.key)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> Witness:
        """Parse a verifier key, `name+hex+base64`.

        Raises:
            MalformedError: it is none, of a kind that is no witness's, or its id is not its key's.
        """
        # Base64 may hold a plus; names and ids may not.
        name, plus, rest = vkey.partition("+")
        key_id, second, encoded = rest.partition("+")
        if not (plus and second and is_key_name(name)):
            raise MalformedError("not a verifier key: name+id+key")
        raw = decode_base64(encoded)
        if raw[:1] not in (b"\x04", b"\x06"):
            raise MalformedError("not the key of a witness: of kind 0x04 or 0x06")
        witness = cls(name, WitnessKind(raw[0]), raw[1:])
        if len(witness.key) != _KEY_BYTES[witness.kind]:
            raise MalformedError("the verifier key has another length than its kind")
        if witness.key_id.hex() != key_id:
            raise MalformedError("the verifier key's id is not that of its key")
        return witness


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A cosignature that was checked. `time` is in seconds since the epoch, as the witness says."""

    witness: Witness
    time: int
    line: NoteSignature


def check_cosignatures(note: Note, witnesses: Iterable[Witness]) -> tuple[Cosignature, ...]:
    """Return the cosignatures of these witnesses, each checked.

    Raises:
        SignatureInvalidError: a line of a known key does not verify.
        MalformedError: the note is no checkpoint, or such a line is cut off.
    """
    known = {(witness.name, witness.key_id): witness for witness in witnesses}
    found = []
    for line in note.signatures:
        witness = known.get((line.name, line.key_id))
        if witness is not None:
            found.append(_check(note.unverified_text, witness, line))
    return tuple(found)


def parse_cosignatures(content: str) -> tuple[NoteSignature, ...]:
    """Parse the answer of a witness: signature lines and nothing else. Raises MalformedError."""
    return tuple(NoteSignature.parse(line) for line in split_lines(content))


def cosigned_message(witness: Witness, text: str, time: int) -> bytes:
    """Return what a witness signs for the text of a checkpoint. Raises MalformedError."""
    match witness.kind:
        case WitnessKind.ED25519:
            return f"cosignature/v1\ntime {time}\n{text}".encode()
        case WitnessKind.ML_DSA_44:
            return _subtree_message(witness, Checkpoint.parse(text), time)


def _subtree_message(witness: Witness, checkpoint: Checkpoint, time: int) -> bytes:
    """The structure `cosigned_message` of the specification, for a whole tree."""
    name, origin = witness.name.encode(), checkpoint.origin.encode()
    if len(name) > _MAX_VECTOR or len(origin) > _MAX_VECTOR:
        raise MalformedError("a name of more than 255 bytes")
    return b"".join(
        (
            _SUBTREE_LABEL,
            bytes([len(name)]) + name,
            time.to_bytes(_TIME_BYTES, "big"),
            bytes([len(origin)]) + origin,
            (0).to_bytes(8, "big"),
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _check(text: str, witness: Witness, line: NoteSignature) -> Cosignature:
    time = int.from_bytes(line.signature[:_TIME_BYTES], "big")
    signature = line.signature[_TIME_BYTES:]
    if not signature or time > _LAST_TIME:
        raise MalformedError("a cosignature is cut off, or its time is none")
    message = cosigned_message(witness, text, time)
    try:
        match witness.kind:
            case WitnessKind.ED25519:
                Ed25519PublicKey.from_public_bytes(witness.key).verify(signature, message)
            case WitnessKind.ML_DSA_44:
                MLDSA44PublicKey.from_public_bytes(witness.key).verify(signature, message)
    except InvalidSignature as error:
        raise SignatureInvalidError(f"the cosignature of {witness.name} does not verify") from error
    return Cosignature(witness, time, line)
