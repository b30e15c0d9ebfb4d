"""Proofs of inclusion for entries on record, each checked before it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from threading import Lock
from typing import Final

from service.domain.errors import InternalError
from service.domain.log import LogProof, Placement, SignedHead, added_again
from service.operations.joint import Joint
from service.ports.log import LogReader
from service.translog.errors import ProofInvalidError
from service.translog.logged import log_id
from service.translog.merkle import leaf_hash
from service.translog.proofs import CheckedProofs
from service.translog.tiles import GrowingNodes, Tile, TiledNodes

KEPT_TREES: Final = 2  # rounds that callers are still being answered from; 0.7 MB for a batch each


def nodes_of(reader: LogReader, tree_id: int, size: int) -> TiledNodes:
    """Return the nodes of a stored tree, as it was at `size`."""

    def fetch(tile: Tile) -> Sequence[bytes]:
        return _hashes(reader, tree_id, tile.level or 0, tile.start, tile.width)

    return TiledNodes(size, fetch)


def _hashes(reader: LogReader, tree_id: int, level: int, start: int, count: int) -> Sequence[bytes]:
    found = reader.hashes(tree_id, level=level, start=start, count=count)
    if len(found) != count:
        raise InternalError(f"the store lacks hashes of level {level} from {start} on")
    return found


class _Trees:
    """The trees that were proven in last, and what was computed of them.

    A tree of one size never changes, and requests that were served by one round of the log are
    all proven in the same. `_lock` guards everything, also while proofs are made.
    """

    def __init__(self, reader: LogReader) -> None:
        self._reader: Final = reader
        self._lock = Lock()
        self._nodes: dict[int, GrowingNodes] = {}
        self._kept: dict[tuple[int, int], CheckedProofs] = {}

    def proof(self, placement: Placement, head: SignedHead) -> LogProof:
        with self._lock:
            try:
                return self._proof(placement, head)
            except ProofInvalidError:
                # Kept from a store that somebody has put back meanwhile: read it anew.
                self._nodes.clear()
                self._kept.clear()
                return self._proof(placement, head)

    def _proof(self, placement: Placement, head: SignedHead) -> LogProof:
        # A tree that does not hold together is found here, and not by whoever gets the proof.
        path = self._proofs(head)(placement.position, leaf_hash(placement.entry))
        return LogProof(
            entry=placement.entry,
            tree_id=placement.tree_id,
            index=placement.position,
            tree_size=head.size,
            root=head.root,
            hashes=path,
            checkpoint=head.note,
            rekor_checkpoint=head.rekor_note or "",
            log_id=log_id(head.public_key),
            integrated_time=int(placement.integrated_at.timestamp()),
            promise=placement.promise,
        )

    def _proofs(self, head: SignedHead) -> CheckedProofs:
        tree = (head.tree_id, head.size)
        found = self._kept.get(tree)
        if found is None:
            if len(self._kept) >= KEPT_TREES:
                del self._kept[next(iter(self._kept))]
            nodes = self._nodes.get(head.tree_id)
            if nodes is None:
                # Proofs in a tree that was closed are seldom asked for.
                self._nodes.clear()
                nodes = self._nodes[head.tree_id] = GrowingNodes(
                    partial(_hashes, self._reader, head.tree_id)
                )
            found = self._kept[tree] = CheckedProofs(head.size, head.root, nodes.at(head.size))
        return found


class ProveEntries:
    """Proves entries, those of many callers together."""

    def __init__(self, reader: LogReader) -> None:
        self._reader: Final = reader
        self._trees: Final = _Trees(reader)
        self._entries: Final = Joint(partial(self._of_each, reader.placed))
        self._additions: Final = Joint(partial(self._of_each, reader.placed_additions))

    def __call__(self, signature_ids: Sequence[str]) -> Mapping[str, LogProof]:
        """Return the proofs of those entries that a checkpoint covers; the others are left out."""
        return self._entries(signature_ids)

    def additions(self, identities: Sequence[str]) -> Mapping[str, LogProof]:
        """Return the same for entries that were added under these identities."""
        return self._additions(identities)

    def _of_each(
        self,
        find: Callable[[Sequence[str]], Mapping[str, Placement]],
        callers: Sequence[Sequence[str]],
    ) -> Sequence[Mapping[str, LogProof]]:
        proofs = self._prove(find(list(dict.fromkeys(chain.from_iterable(callers)))).values())
        return [{one: proofs[one] for one in names if one in proofs} for names in callers]

    def _prove(self, placed: Iterable[Placement]) -> Mapping[str, LogProof]:
        proofs = {}
        uncovered = []
        for placement in placed:
            if placement.head is None:
                uncovered.append(placement.of)
            else:
                proofs[placement.of] = self._trees.proof(placement, placement.head)
        if uncovered:
            # Its tree may have been closed before a checkpoint came.
            second = {added_again(of): of for of in uncovered}
            found = self._prove(self._reader.placed_additions(list(second)).values())
            proofs.update((second[name], proof) for name, proof in found.items())
        return proofs
