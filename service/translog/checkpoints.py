"""Checkpoints (C2SP tlog-checkpoint): the text of a tree's head, and its two origins.

One head is signed as two texts. Rekor v1's entries take the origin `NAME - ID` (sigstore's
clients tell its form by that), everything else takes `NAME`. The name in the signature line is
NAME in both, and the key id is that of ECDSA keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from service.translog.errors import MalformedError
from service.translog.merkle import HASH_BYTES
from service.translog.notes import (
    Note,
    NoteSignature,
    base64_text,
    check_ecdsa,
    decode_base64,
    is_key_name,
)
from service.translog.tiles import MAX_SIZE

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_MANDATORY_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says; whether it was signed is the note's matter."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        root = base64_text(self.root)
        return "\n".join((self.origin, str(self.size), root, *self.extensions)) + "\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises MalformedError."""
        lines = text.removesuffix("\n").split("\n")
        if not text.endswith("\n") or len(lines) < _MANDATORY_LINES or not all(lines):
            raise MalformedError("not a checkpoint: fewer than three lines, or an empty one")
        origin, size, encoded, *extensions = lines
        root = decode_base64(encoded)
        if not _SIZE.fullmatch(size) or int(size) >= MAX_SIZE or len(root) != HASH_BYTES:
            raise MalformedError("not a checkpoint: its size or root cannot be read")
        return cls(origin, int(size), root, tuple(extensions))


def rekor_origin(name: str, tree_id: int) -> str:
    """Return the origin in entries of Rekor v1's form."""
    return f"{name} - {tree_id}"


def origins(name: str, tree_id: int) -> tuple[str, str]:
    """Return the two origins under which a tree's heads are signed."""
    return name, rekor_origin(name, tree_id)


def is_log_name(name: str) -> bool:
    """Whether a log may have this NAME: one that neither notes nor the two origins mistake."""
    return is_key_name(name) and " - " not in name and "/" not in name


def open_checkpoint(content: str, *, origin: str, name: str, spki: bytes) -> Checkpoint:
    """Return what a signed checkpoint says, once the log's key has been checked.

    Raises:
        MalformedError: it is no checkpoint.
        SignatureInvalidError: the key did not sign it.
        OtherLogError: it is signed, and of another log.
    """
    note = Note.parse(content)
    checkpoint = Checkpoint.parse(check_ecdsa(note, name=name, spki=spki))
    if checkpoint.origin != origin:
        raise OtherLogError(f"the checkpoint is of the log {checkpoint.origin!r}")
    return checkpoint


class OtherLogError(MalformedError):
    """The checkpoint is a good one, of another log."""


def with_signatures(content: str, more: tuple[NoteSignature, ...]) -> str:
    """Return a checkpoint with further signatures under those it has."""
    note = Note.parse(content)
    every = dict.fromkeys((*note.signatures, *more))
    return Note(note.unverified_text, tuple(every)).render()
