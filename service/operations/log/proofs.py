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
from service.translog.logged import check_inclusion, log_id
from service.translog.proofs import Roots, inclusion_proof
from service.translog.tiles import Tile, TiledNodes

KEPT_TREES: Final = 4  # rounds that callers are still being answered from


def nodes_of(reader: LogReader, tree_id: int, size: int) -> TiledNodes:
    """Return the nodes of a stored tree, as it was at `size`."""

    def fetch(tile: Tile) -> Sequence[bytes]:
        found = reader.hashes(tree_id, level=tile.level or 0, start=tile.start, count=tile.width)
        if len(found) != tile.width:
            raise InternalError(f"the store lacks hashes of {tile.path()}")
        return found

    return TiledNodes(size, fetch)


class _Trees:
    """The trees that were proven in last, and what was computed of them.

    A tree of one size never changes, and requests that were served by one round of the log are
    all proven in the same. `_lock` guards everything, also while proofs are made.
    """

    def __init__(self, reader: LogReader) -> None:
        self._reader: Final = reader
        self._lock = Lock()
        self._kept: dict[tuple[int, int], tuple[TiledNodes, Roots]] = {}

    def proof(self, placement: Placement, head: SignedHead) -> LogProof:
        with self._lock:
            try:
                return self._proof(placement, head)
            except ProofInvalidError:
                # Kept from a store that somebody has put back meanwhile: read it anew.
                self._kept.clear()
                return self._proof(placement, head)

    def _proof(self, placement: Placement, head: SignedHead) -> LogProof:
        tree = (head.tree_id, head.size)
        kept = self._kept.get(tree)
        if kept is None:
            if len(self._kept) >= KEPT_TREES:
                del self._kept[next(iter(self._kept))]
            kept = self._kept[tree] = (nodes_of(self._reader, *tree), {})
        return _proof(placement, head, *kept)


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


def _proof(placement: Placement, head: SignedHead, nodes: TiledNodes, known: Roots) -> LogProof:
    proof = LogProof(
        entry=placement.entry,
        tree_id=placement.tree_id,
        index=placement.position,
        tree_size=head.size,
        root=head.root,
        hashes=inclusion_proof(placement.position, head.size, nodes, known),
        checkpoint=head.note,
        rekor_checkpoint=head.rekor_note or "",
        log_id=log_id(head.public_key),
        integrated_time=int(placement.integrated_at.timestamp()),
        promise=placement.promise,
    )
    # A tree that does not hold together is found here, and not by whoever gets the proof.
    check_inclusion(proof)
    return proof
