"""Proof files (C2SP tlog-proof): one text that shows, offline, that an entry was logged.

The entry itself is the file's `extra`, so that whoever reads it needs nothing but the log's
public key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from service.translog.checkpoints import Checkpoint, open_checkpoint
from service.translog.errors import MalformedError, ProofInvalidError
from service.translog.merkle import HASH_BYTES, leaf_hash, root_from_inclusion
from service.translog.notes import Note, base64_text, decode_base64

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class ProofFile:
    """Nothing in it is checked yet; `unverified_entry` is the leaf's bytes."""

    unverified_entry: bytes
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    def render(self) -> str:
        lines = [
            HEADER,
            f"extra {base64_text(self.unverified_entry)}",
            f"index {self.index}",
            *(base64_text(one) for one in self.hashes),
            "",
            self.checkpoint,
        ]
        return "\n".join(lines)

    @classmethod
    def parse(cls, content: str) -> ProofFile:
        """Raises MalformedError."""
        proof, blank, checkpoint = content.partition("\n\n")
        header, *lines = proof.split("\n")
        if not blank or header != HEADER or not lines[:1] or not lines[0].startswith("extra "):
            raise MalformedError(f"not a proof file of the form {HEADER} with its entry")
        entry = decode_base64(lines[0].removeprefix("extra "))
        match = _INDEX.fullmatch(lines[1]) if lines[1:] else None
        if match is None:
            raise MalformedError("the proof file names no index")
        hashes = tuple(decode_base64(line) for line in lines[2:])
        if len(hashes) > MAX_HASHES or any(len(one) != HASH_BYTES for one in hashes):
            raise MalformedError("the proof file holds what is no hash")
        return cls(entry, int(match[1]), hashes, checkpoint)

    def claimed_log(self) -> Checkpoint:
        """Return what the checkpoint says without checking it. Raises MalformedError."""
        return Checkpoint.parse(Note.parse(self.checkpoint).unverified_text)

    def check(self, *, name: str, spki: bytes) -> bytes:
        """Return the entry, once it is proven to be in the log of this name and key.

        Raises:
            MalformedError, SignatureInvalidError: the checkpoint is none of this log and key.
            ProofInvalidError: the entry is not in the tree that the checkpoint is of.
        """
        head = open_checkpoint(self.checkpoint, origin=name, name=name, spki=spki)
        implied = root_from_inclusion(
            leaf_hash(self.unverified_entry), index=self.index, size=head.size, proof=self.hashes
        )
        if implied != head.root:
            raise ProofInvalidError("the entry is not in the tree of the checkpoint")
        return self.unverified_entry
