"""The values of the transparency logs (docs/plans/0006-log.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class LogName(StrEnum):
    """The two logs. One key of purpose `log` signs both, so each has a NAME of its own."""

    SIGNATURES = "signatures"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class Tree:
    """A committed tree of a log: what may be signed.

    `name` is the NAME of its checkpoints and `id` Rekor's number for it; both are fixed for
    good, as is the name of the `key`, whose versions may follow each other.
    """

    id: int
    log: LogName
    name: str
    key: str
    size: int
    root: bytes
    signed_size: int
    """The size of the newest checkpoint that was published; 0 before the first."""
    started_at: datetime
    is_claimed: bool = False
    """Whether somebody is about to sign its head; everybody else need not."""


@dataclass(frozen=True, slots=True)
class Integrated:
    """What one integration came to.

    `is_more` says that the queue held more than was to be taken at once, and `may_sign` that
    the right to sign the head is with the one who asked.
    """

    tree: Tree
    is_more: bool
    may_sign: bool


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A checkpoint: `note` has the origin NAME, `rekor_note` (not of the audit log) `NAME - ID`."""

    tree_id: int
    size: int
    root: bytes
    key: str
    version: int
    public_key: bytes
    note: str
    rekor_note: str | None


@dataclass(frozen=True, slots=True)
class Promise:
    """A signed entry timestamp, the time in seconds that it is over, and whose key signed it.

    `log_id` is the SHA-256 of the DER of that key: after a rotation it may be another than the
    key of the checkpoint that covers the entry.
    """

    integrated_time: int
    signature: bytes
    log_id: bytes


@dataclass(frozen=True, slots=True)
class LogProof:
    """An entry of the log `signatures`, its proof of inclusion, and the head that it leads to.

    `entry` holds the exact bytes of the leaf, `log_id` is the SHA-256 of the DER of the key
    that signed the two checkpoints, and `integrated_time` is in seconds since the epoch.
    """

    entry: bytes
    tree_id: int
    index: int
    tree_size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str
    rekor_checkpoint: str
    log_id: bytes
    integrated_time: int
    promise: Promise | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an entry stands, and the head of the first checkpoint that covers it and counts.

    `of` is the id of the entry's signature, or the identity under which it was added.
    """

    of: str
    tree_id: int
    position: int
    entry: bytes
    integrated_at: datetime
    head: SignedHead | None
    promise: Promise | None = None


def added_again(of: str) -> str:
    """Return the identity under which an entry is added once more, to the tree after its own."""
    return f"again {of}"


class AdditionKind(StrEnum):
    """Why an entry of the log `signatures` is not that of a signature on record."""

    SECOND = "second"
    """The `rekord` of an Ed25519 `.sig`: cosign takes it, and no other."""
    FOREIGN = "foreign"
    """Written by somebody else's client, over Rekor's own API."""
    REFILLED = "refilled"
    """Brought back after the store had lost it."""
