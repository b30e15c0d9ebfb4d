"""The frontier: all that is needed of a tree to append to it and to know its root.

It holds the roots of the complete subtrees that the size is the sum of, the largest first: as
many as the size has one bits, at most 64 hashes for any tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from service.translog.errors import MalformedError
from service.translog.merkle import HASH_BYTES, fold, node_hash
from service.translog.tiles import TILE_HEIGHT, TileHash


@dataclass(frozen=True, slots=True)
class Frontier:
    """To hold one is proof that its parts fit its size."""

    size: int
    roots: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.roots) != self.size.bit_count():
            raise MalformedError(f"a tree of {self.size} has not {len(self.roots)} subtrees")

    def root(self) -> bytes:
        return fold(self.roots)

    def dump(self) -> bytes:
        return b"".join(self.roots)

    @classmethod
    def load(cls, size: int, content: bytes) -> Frontier:
        """Raises MalformedError."""
        starts = range(0, len(content), HASH_BYTES)
        roots = tuple(content[start : start + HASH_BYTES] for start in starts)
        if roots and len(roots[-1]) != HASH_BYTES:
            raise MalformedError("a hash of the frontier is cut off")
        return cls(size, roots)


EMPTY: Final = Frontier(0, ())


@dataclass(frozen=True, slots=True)
class Grown:
    """A frontier after an append, and the roots of the tiles that became full by it."""

    frontier: Frontier
    full_tiles: tuple[TileHash, ...]


def grow(frontier: Frontier, leaf_hashes: Iterable[bytes]) -> Grown:
    roots = list(frontier.roots)
    size = frontier.size
    full: list[TileHash] = []
    for leaf in leaf_hashes:
        node, level, index = leaf, 0, size
        # As a carry in binary addition: two subtrees of one size become one of the next.
        while index & 1:
            node = node_hash(roots.pop(), node)
            index >>= 1
            level += 1
            if level % TILE_HEIGHT == 0:
                full.append(TileHash(level // TILE_HEIGHT, index, node))
        roots.append(node)
        size += 1
    return Grown(Frontier(size, tuple(roots)), tuple(full))
