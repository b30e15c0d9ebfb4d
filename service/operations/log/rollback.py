"""Holds the store against the newest checkpoint kept outside it.

A store that was put back to an older state would make the log grow a second time from there,
and sign two trees of one size: the one thing that a log must never do. The checkpoint outside
is written before it is published, so a store that is sound always contains it.
"""

from __future__ import annotations

from typing import Final

from service.domain.errors import LogRolledBackError
from service.domain.log import LogName, SignedHead, Tree
from service.operations.log.proofs import nodes_of
from service.ports.log import CheckpointKeeper, LogReader, LogWriter
from service.translog.checkpoints import Checkpoint, origins
from service.translog.errors import MalformedError
from service.translog.notes import Note
from service.translog.proofs import tree_root


class RollbackGuard:
    """Remembers what it has found to hold: a tree that contains a head contains it for good."""

    def __init__(self, *, writer: LogWriter, reader: LogReader, keeper: CheckpointKeeper) -> None:
        self._writer: Final = writer
        self._reader: Final = reader
        self._keeper: Final = keeper
        self._contained: dict[LogName, tuple[int, int, bytes]] = {}

    def check(self, log: LogName) -> None:
        """Return if the store's tree contains the checkpoint that was kept.

        Raises:
            LogRolledBackError: it does not.
            LogUnavailableError: the checkpoint cannot be read.
            StoreUnavailableError
        """
        kept = self._kept(log)
        if kept is None:
            return
        # Read after the checkpoint: what another process has kept, it had committed before.
        tree = self._writer.tree(log)
        if tree is None or kept.origin not in origins(tree.name, tree.id):
            has = "none" if tree is None else repr(tree.name)
            raise LogRolledBackError(
                f"the checkpoint outside is of the log {kept.origin!r}; the store has {has}"
            )
        if kept.size > tree.size:
            raise LogRolledBackError(
                f"the store holds {tree.size} entries of the log {log}, "
                f"and a checkpoint over {kept.size} has been published"
            )
        head = (tree.id, kept.size, kept.root)
        if self._contained.get(log) == head:
            return
        if self._root(tree, kept.size) != kept.root:
            raise LogRolledBackError(
                f"the first {kept.size} entries of the log {log} are not those of the "
                "checkpoint that has been published"
            )
        self._contained[log] = head

    def _root(self, tree: Tree, size: int) -> bytes:
        if size == tree.size:
            return tree.root
        return tree_root(size, nodes_of(self._reader, tree.id, size))

    def follow(self, log: LogName) -> None:
        """Keep what others have published, lest a machine that was idle should take over as of then.

        Raises as `check`, and keeps nothing of a store that does not contain what was kept.
        """
        self.check(log)
        head = self._reader.newest(log)
        if head is not None:
            self.keep(log, head)

    def keep(self, log: LogName, head: SignedHead) -> None:
        """Keep a head that is about to be published. Raises LogUnavailableError."""
        self._keeper.keep(log, head.note)

    def _kept(self, log: LogName) -> Checkpoint | None:
        note = self._keeper.newest(log)
        if note is None:
            return None
        try:
            return Checkpoint.parse(Note.parse(note).unverified_text)
        except MalformedError as error:
            raise LogRolledBackError(
                f"what is kept outside of the log {log} is no checkpoint"
            ) from error
