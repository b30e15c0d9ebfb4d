"""Obligations of the store towards the transparency logs.

An entry is queued in the transaction that records it. Integration and publication are one
transaction each, durable when the call returns. Times are the database's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.domain.audit import AuditFilter, LoggedEvent
from service.domain.keys import KeyVersion
from service.domain.log import (
    AdditionKind,
    Integrated,
    LogName,
    Placement,
    Promise,
    SignedHead,
    Tree,
)
from service.domain.pages import Page, PageRequest


class LogWriter(Protocol):
    """What makes a log grow. Must keep two integrators from ever making two trees of one size."""

    def tree(self, log: LogName) -> Tree | None:
        """Return the open tree of a log, or None before it was begun."""
        ...

    def begin(self, log: LogName, *, tree_id: int, name: str, key: str) -> Tree:
        """Begin a tree, and return it, or the one that somebody else has begun meanwhile."""
        ...

    def is_behind(self, log: LogName) -> bool:
        """Return whether something is queued, or the tree's head is unsigned."""
        ...

    def integrate(
        self, log: LogName, *, owner: str, seconds: float, limit: int
    ) -> Integrated | None:
        """Append up to `limit` queued entries to the tree, in the order they were queued.

        Where the head is then unsigned, the right to sign it goes to `owner` for `seconds`,
        unless somebody else holds it. That right is for speed only: whoever signs, signs a
        tree that is committed. None means that there is no tree.
        """
        ...

    def publish(self, head: SignedHead, *, owner: str) -> None:
        """Make a checked checkpoint public, unless a larger one is, and give back the right.

        Must refuse what is not the head of a committed tree.
        """
        ...

    def release(self, tree: Tree, *, owner: str) -> None:
        """Give back the right to sign, unused; does nothing if it was lost."""
        ...

    def add(self, kind: AdditionKind, identity: str, entry: bytes) -> None:
        """Record an entry beside those of signatures; `identity` lets each in once."""
        ...

    def promise(self, tree_id: int, position: int, version: KeyVersion, made: Promise) -> Promise:
        """Keep what `version` has promised for a leaf; return it, or what it promised before."""
        ...


class LogRecovery(Protocol):
    """What is done to a log whose store was put back to an older state, and to no other."""

    def refill(self, tree: Tree, entries: Sequence[bytes], *, root: bytes) -> None:
        """Append what the store had lost, in its old order, ahead of everything that is queued.

        An entry that is queued under its own record is taken from there, once.

        Raises:
            ProofInvalidError: that does not lead to `root`; nothing is changed.
        """
        ...

    def close(self, tree: Tree) -> int:
        """End a tree for good; entries that no checkpoint of it covers are queued for the next.

        Returns how many those are.
        """
        ...


class LogReader(Protocol):
    """What is public of a tree: everything up to its newest checkpoint."""

    def newest(self, log: LogName) -> SignedHead | None:
        """Return the newest checkpoint of the open tree."""
        ...

    def head(self, tree_id: int, size: int) -> SignedHead | None:
        """Return the checkpoint of a tree, closed or not, over exactly so many entries."""
        ...

    def trees(self, log: LogName) -> Sequence[Tree]:
        """Return every tree that the log has had, closed ones too, the oldest first."""
        ...

    def placed(self, signature_ids: Sequence[str]) -> Mapping[str, Placement]:
        """Return where the entries of these signatures stand; those in no tree are left out."""
        ...

    def placed_additions(self, identities: Sequence[str]) -> Mapping[str, Placement]:
        """Return the same for entries that were added under these identities."""
        ...

    def has_signature(self, key: str, version: int, forms: Sequence[bytes]) -> bool:
        """Return whether a signature by this version is on record in one of these encodings.

        May look at every record; the newest are looked at first.
        """
        ...

    def hashes(self, tree_id: int, *, level: int, start: int, count: int) -> Sequence[bytes]:
        """Return hashes of the tiles of a level, as many of these as the tree has."""
        ...

    def entries(self, tree_id: int, *, start: int, count: int) -> Sequence[bytes]:
        """Return the exact bytes of leaves, as many of these as the tree has."""
        ...


class LogAuditor(Protocol):
    """What a derivation of everything from the records needs beside LogReader."""

    def checkpoints(self, tree_id: int, *, after: int, limit: int) -> Sequence[SignedHead]:
        """Return checkpoints over more than `after` entries, the smallest first."""
        ...

    def unaccounted(self, log: LogName) -> int:
        """Return how many recorded entries are neither in a tree nor queued for one."""
        ...


class AuditReader(Protocol):
    def search(self, wanted: AuditFilter, page: PageRequest) -> Page[LoggedEvent]:
        """Return events that are in the audit log, newest first."""
        ...


class CheckpointKeeper(Protocol):
    """Remembers the newest checkpoint outside the store, so that a store which was put back
    to an older state is noticed before it signs."""

    def newest(self, log: LogName) -> str | None:
        """Return the newest checkpoint that was kept, a signed note; None before the first.

        Raises:
            LogUnavailableError: there should be one, and it cannot be read.
        """
        ...

    def keep(self, log: LogName, note: str) -> None:
        """Keep a checkpoint, durably, if it is newer than what is kept.

        Raises:
            LogUnavailableError: it cannot be kept.
        """
        ...

    def set_aside(self, log: LogName) -> None:
        """Put the newest checkpoint of a tree that is closed where it is found, and no longer newest.

        Raises:
            LogUnavailableError: it cannot be done.
        """
        ...
