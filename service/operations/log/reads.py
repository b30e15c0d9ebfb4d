"""What anybody may read of the log `signatures`, and auditors of the log `audit`.

Everything here is within the newest checkpoint: what has been integrated and not yet signed
does not exist for a reader.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.callers import Caller
from service.domain.errors import InvalidRequestError, NotFoundError
from service.domain.log import LogName, SignedHead
from service.operations.decide import require_action
from service.operations.log.proofs import nodes_of
from service.policy.roles import Action
from service.ports.log import LogReader
from service.ports.witnesses import Cosignatures
from service.translog.errors import MalformedError
from service.translog.proofs import consistency_proof, inclusion_proof, tree_root
from service.translog.tiles import Tile, bundle, width_at


@dataclass(frozen=True, slots=True)
class Inclusion:
    index: int
    tree_size: int
    leaf_hash: bytes
    root: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Consistency:
    old_size: int
    new_size: int
    old_root: bytes
    new_root: bytes
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReadLog:
    reader: LogReader
    cosignatures: Cosignatures

    def checkpoint(self, log: LogName, *, name: str | None = None, cosigned: bool = False) -> str:
        """Return the newest checkpoint, or the newest that a witness has cosigned.

        Under the log's own signature stand the cosignatures that there are. With a `name` it is
        the last of the tree that has or had that name.

        Raises:
            NotFoundError: there is none yet.
        """
        head = self.cosignatures.newest(log) if cosigned else self._head(log, name)
        if head is None:
            raise NotFoundError(f"no witness has cosigned a checkpoint of the log {log} yet")
        return head.note + "".join(self.cosignatures.lines(head.tree_id, head.size))

    def tile(self, log: LogName, path: str, *, name: str | None = None) -> bytes:
        """Return the tile or entry bundle at `tile/…`. Raises NotFoundError."""
        try:
            tile = Tile.parse(path)
        except MalformedError as error:
            raise NotFoundError(str(error)) from error
        head = self._head(log, name)
        if tile.width > width_at(tile, head.size):
            raise NotFoundError(f"the tree of {head.size} has no such tile")
        if tile.level is None:
            return bundle(self.reader.entries(head.tree_id, start=tile.start, count=tile.width))
        hashes = self.reader.hashes(
            head.tree_id, level=tile.level, start=tile.start, count=tile.width
        )
        return b"".join(hashes)

    def inclusion(self, log: LogName, *, index: int, tree_size: int | None) -> Inclusion:
        """Return the proof that a leaf is in the tree, as it was at `tree_size`.

        Raises:
            NotFoundError, InvalidRequestError.
        """
        head = self._head(log)
        size = self._size(head, tree_size, "tree_size")
        if index >= size:
            raise InvalidRequestError(
                f"a tree of {size} has no leaf {index}", errors={"index": [f"less than {size}"]}
            )
        nodes = nodes_of(self.reader, head.tree_id, size)
        return Inclusion(
            index,
            size,
            nodes(0, index),
            tree_root(size, nodes),
            inclusion_proof(index, size, nodes),
        )

    def consistency(self, log: LogName, *, old: int, new: int | None) -> Consistency:
        """Return the proof that the tree of `new` grew from that of `old`.

        Raises:
            NotFoundError, InvalidRequestError.
        """
        head = self._head(log)
        size = self._size(head, new, "to")
        if old > size:
            raise InvalidRequestError(
                f"a tree of {size} did not grow from one of {old}",
                errors={"from": [f"{size} at most"]},
            )
        nodes = nodes_of(self.reader, head.tree_id, size)
        return Consistency(
            old,
            size,
            tree_root(old, nodes_of(self.reader, head.tree_id, old)),
            tree_root(size, nodes),
            consistency_proof(old, size, nodes),
        )

    def _head(self, log: LogName, name: str | None = None) -> SignedHead:
        if name is None:
            head = self.reader.newest(log)
        else:
            # What was proven in a tree that is closed must be checkable for good.
            tree = next((tree for tree in self.reader.trees(log) if tree.name == name), None)
            head = None if tree is None else self.reader.head(tree.id, tree.signed_size)
        if head is None:
            raise NotFoundError(f"the log {log} has no checkpoint yet")
        return head

    def _size(self, head: SignedHead, wanted: int | None, field: str) -> int:
        size = head.size if wanted is None else wanted
        if size > head.size:
            raise InvalidRequestError(
                f"the newest checkpoint is over {head.size} entries",
                errors={field: [f"{head.size} at most"]},
            )
        return size


@dataclass(frozen=True, slots=True)
class ReadAuditLog:
    reads: ReadLog

    def __call__(self, caller: Caller) -> ReadLog:
        """Return the reads for a caller who may see the audit log. Raises ForbiddenError."""
        require_action(caller, Action.SEE_AUDIT)
        return self.reads
