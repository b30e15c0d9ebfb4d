"""Proofs of inclusion for entries on record, each checked before it leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import InternalError
from service.domain.log import LogProof, Placement, SignedHead, added_again
from service.ports.log import LogReader
from service.translog.logged import check_inclusion, log_id
from service.translog.proofs import inclusion_proof
from service.translog.tiles import Tile, TiledNodes


def nodes_of(reader: LogReader, tree_id: int, size: int) -> TiledNodes:
    """Return the nodes of a stored tree, as it was at `size`."""

    def fetch(tile: Tile) -> Sequence[bytes]:
        found = reader.hashes(tree_id, level=tile.level or 0, start=tile.start, count=tile.width)
        if len(found) != tile.width:
            raise InternalError(f"the store lacks hashes of {tile.path()}")
        return found

    return TiledNodes(size, fetch)


@dataclass(frozen=True, slots=True)
class ProveEntries:
    reader: LogReader

    def __call__(self, signature_ids: Sequence[str]) -> Mapping[str, LogProof]:
        """Return the proofs of those entries that a checkpoint covers; the others are left out."""
        return self._prove(self.reader.placed(signature_ids).values())

    def additions(self, identities: Sequence[str]) -> Mapping[str, LogProof]:
        """Return the same for entries that were added under these identities."""
        return self._prove(self.reader.placed_additions(identities).values())

    def _prove(self, placed: Iterable[Placement]) -> Mapping[str, LogProof]:
        nodes: dict[tuple[int, int], TiledNodes] = {}
        proofs = {}
        uncovered = []
        for placement in placed:
            head = placement.head
            if head is None:
                uncovered.append(placement.of)
                continue
            tree = (head.tree_id, head.size)
            if tree not in nodes:
                nodes[tree] = nodes_of(self.reader, *tree)
            proofs[placement.of] = _proof(placement, head, nodes[tree])
        if uncovered:
            # Its tree may have been closed before a checkpoint came.
            second = {added_again(of): of for of in uncovered}
            found = self._prove(self.reader.placed_additions(list(second)).values())
            proofs.update((second[name], proof) for name, proof in found.items())
        return proofs


def _proof(placement: Placement, head: SignedHead, nodes: TiledNodes) -> LogProof:
    proof = LogProof(
        entry=placement.entry,
        tree_id=placement.tree_id,
        index=placement.position,
        tree_size=head.size,
        root=head.root,
        hashes=inclusion_proof(placement.position, head.size, nodes),
        checkpoint=head.note,
        rekor_checkpoint=head.rekor_note or "",
        log_id=log_id(head.public_key),
        integrated_time=int(placement.integrated_at.timestamp()),
        promise=placement.promise,
    )
    # A tree that does not hold together is found here, and not by whoever gets the proof.
    check_inclusion(proof)
    return proof
