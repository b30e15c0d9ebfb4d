"""Walking a log by its tiles: every leaf is hashed anew, and every hash that is served is compared.

Nothing that is fetched is believed. What comes out of a walk is a frontier whose root the
caller compares with a checkpoint that it has checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from service.translog.errors import ProofInvalidError
from service.translog.frontier import EMPTY, Frontier, grow
from service.translog.merkle import leaf_hash
from service.translog.tiles import (
    TILE_WIDTH,
    Tile,
    TileHash,
    split_bundle,
    split_hashes,
    tiles_of,
    width_at,
)

Fetch = Callable[[Tile], bytes]
"""Gets a tile of hashes, or a bundle of entries, as the log serves it."""


@dataclass(slots=True)
class Walk:
    """A walk from one frontier to a larger tree. `frontier` moves on with each entry."""

    fetch: Fetch
    frontier: Frontier = EMPTY
    made: list[TileHash] = field(default_factory=list)
    """Roots of the tiles that became full on the way."""

    def entries(self, size: int) -> Iterator[tuple[int, bytes]]:
        """Yield index and bytes of each entry up to `size`, once its bundle has been hashed.

        Raises:
            MalformedError: a bundle is none.
        """
        while self.frontier.size < size:
            start = self.frontier.size
            index = start // TILE_WIDTH
            tile = Tile(None, index, width_at(Tile(None, index), size))
            entries = split_bundle(self.fetch(tile), tile.width)[start - tile.start :]
            grown = grow(self.frontier, map(leaf_hash, entries))
            self.frontier = grown.frontier
            self.made += grown.full_tiles
            yield from enumerate(entries, start)


def check_tiles(size: int, fetch: Fetch) -> Iterator[tuple[int, bytes]]:
    """Yield every entry of a log, and hold each of its tiles against the entries.

    Raises:
        MalformedError: a tile or bundle is none.
        ProofInvalidError: a tile holds other hashes than its leaves have.
    """
    walk = Walk(fetch)
    leaves: list[bytes] = []
    for index, entry in walk.entries(size):
        leaves.append(leaf_hash(entry))
        if len(leaves) == TILE_WIDTH or index == size - 1:
            tile = Tile(0, index // TILE_WIDTH, len(leaves))
            _compare(tile, leaves, fetch)
            leaves = []
        yield index, entry
    for tile in tiles_of(size):
        if tile.level:
            row = [one.hash for one in walk.made if one.level == tile.level]
            _compare(tile, row[tile.start : tile.start + tile.width], fetch)


def _compare(tile: Tile, expected: Sequence[bytes], fetch: Fetch) -> None:
    if list(split_hashes(fetch(tile), tile.width)) != list(expected):
        raise ProofInvalidError(f"{tile.path()} does not hold the hashes of its entries")
