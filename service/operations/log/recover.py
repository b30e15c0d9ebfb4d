"""Brings back what a store has lost of its log, or ends the log where it was cut off.

Entries come from whoever kept them: tiles, and the bundles and annotations at the registries.
Nothing that comes is believed: it is put back only if it leads to the root of the checkpoint
that was published, and that was kept outside the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from service.domain.audit import AuditEvent
from service.domain.errors import LogUnavailableError, NotFoundError
from service.domain.log import LogName, Tree
from service.ports.log import CheckpointKeeper, LogRecovery, LogWriter
from service.ports.store import AuditTrail
from service.translog.checkpoints import Checkpoint, origins
from service.translog.errors import ProofInvalidError
from service.translog.notes import Note

ACTOR = "sealwright log recover"


@dataclass(frozen=True, slots=True)
class Loss:
    """What the store lacks of a log: entries from `tree.size` up to the published `head`."""

    tree: Tree
    head: Checkpoint

    @property
    def positions(self) -> range:
        return range(self.tree.size, self.head.size)


@dataclass(frozen=True, slots=True)
class RecoverLog:
    writer: LogWriter
    recovery: LogRecovery
    keeper: CheckpointKeeper
    audit: AuditTrail

    def loss(self, log: LogName) -> Loss | None:
        """Return what is missing; None where nothing is.

        Raises:
            NotFoundError: the store has no such log, so that nothing can be put back.
            ProofInvalidError: the store's log is another than the one that was published.
        """
        note = self.keeper.newest(log)
        if note is None:
            return None
        head = Checkpoint.parse(Note.parse(note).unverified_text)
        tree = self.writer.tree(log)
        if tree is None:
            raise NotFoundError(f"the store has no log {log}")
        if head.origin not in origins(tree.name, tree.id):
            raise ProofInvalidError(f"the store has the log {tree.name}, not {head.origin}")
        return Loss(tree, head) if tree.size < head.size else None

    def missing(self, loss: Loss, found: Mapping[int, bytes]) -> list[int]:
        """Return the positions for which no entry was found."""
        return [position for position in loss.positions if position not in found]

    def refill(self, loss: Loss, found: Mapping[int, bytes]) -> None:
        """Put everything back. The log then goes on by itself.

        Raises:
            ProofInvalidError: something else was found than what had been published.
            LogUnavailableError: not everything was found.
        """
        missing = self.missing(loss, found)
        if missing:
            raise LogUnavailableError(f"{len(missing)} entries are missing")
        entries = [found[position] for position in loss.positions]
        self.recovery.refill(loss.tree, entries, root=loss.head.root)
        self._tell("log.refilled", loss.tree, size=loss.head.size, entries=len(entries))

    def close(self, log: LogName) -> int:
        """End the log where the store has it; the next checkpoint is of a new one, with a new NAME.

        Returns how many entries go into the new one because no checkpoint covered them.
        """
        tree = self.writer.tree(log)
        moved = 0 if tree is None else self.recovery.close(tree)
        self.keeper.set_aside(log)
        if tree is not None:
            # The root commits to every entry of the closed tree, covered or not.
            self._tell("log.closed", tree, size=tree.size, moved=moved, root=tree.root.hex())
        return moved

    def _tell(self, action: str, tree: Tree, **details: object) -> None:
        self.audit.append(
            [
                AuditEvent(
                    action, ACTOR, tree.name, {"tree": str(tree.id), "log": tree.log, **details}
                )
            ]
        )


def gather(sources: Iterable[Iterable[tuple[int, bytes]]], loss: Loss) -> dict[int, bytes]:
    """Collect the entries that are missing, from each source what it has."""
    found: dict[int, bytes] = {}
    for source in sources:
        for position, entry in source:
            if position in loss.positions:
                found.setdefault(position, entry)
    return found
