"""Holds the store against the newest checkpoint kept outside it.

A store that was put back to an older state would make the log grow a second time from there,
and sign two trees of one size: the one thing that a log must never do. The checkpoint outside
is written before it is published, so a store that is sound always contains it.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.errors import LogRolledBackError
from service.domain.log import LogName, SignedHead, Tree
from service.operations.log.proofs import nodes_of
from service.ports.log import CheckpointKeeper, LogReader
from service.translog.checkpoints import Checkpoint
from service.translog.errors import MalformedError
from service.translog.notes import Note
from service.translog.proofs import tree_root


@dataclass(frozen=True, slots=True)
class RollbackGuard:
    reader: LogReader
    keeper: CheckpointKeeper

    def check(self, tree: Tree, before: tuple[int, bytes] | None = None) -> None:
        """Return if `tree` contains the checkpoint that was kept.

        `before` is a size and root that the tree is known to have grown from.

        Raises:
            LogRolledBackError: it does not.
            LogUnavailableError: the checkpoint cannot be read.
        """
        kept = self._kept(tree.log)
        if kept is None:
            return
        if kept.origin != tree.name:
            raise LogRolledBackError(
                f"the checkpoint outside is of the log {kept.origin!r}, the store's is {tree.name!r}"
            )
        known = {(tree.size, tree.root), before}
        if (kept.size, kept.root) in known:
            return
        if kept.size > tree.size:
            raise LogRolledBackError(
                f"the store holds {tree.size} entries of the log {tree.log}, "
                f"and a checkpoint over {kept.size} has been published"
            )
        if tree_root(kept.size, nodes_of(self.reader, tree.id, kept.size)) != kept.root:
            raise LogRolledBackError(
                f"the first {kept.size} entries of the log {tree.log} are not those of the "
                "checkpoint that has been published"
            )

    def keep(self, log: LogName, head: SignedHead) -> None:
        """Keep a head that is about to be published. Raises LogUnavailableError."""
        self.keeper.keep(log, head.note)

    def _kept(self, log: LogName) -> Checkpoint | None:
        note = self.keeper.newest(log)
        if note is None:
            return None
        try:
            return Checkpoint.parse(Note.parse(note).unverified_text)
        except MalformedError as error:
            raise LogRolledBackError(
                f"what is kept outside of the log {log} is no checkpoint"
            ) from error
