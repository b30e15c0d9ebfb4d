"""Tiles (C2SP tlog-tiles): the tree's hashes and entries as files that never change.

A tile of level L holds the roots of up to 256 complete subtrees of 256**L leaves. A full one
never changes again; a partial one is named by its width, so it does not change either.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from service.translog.errors import MalformedError
from service.translog.merkle import HASH_BYTES, node_hash

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
MAX_LEVEL: Final = 63
MAX_ENTRY_BYTES: Final = 0xFFFF  # an entry bundle gives a length two bytes
KEPT_TILES: Final = 32  # of a tree that grows, 40 KB each; a batch of 1,000 lies in five
MAX_SIZE: Final = 1 << 63  # what a signed number of eight bytes counts

_PATH: Final = re.compile(
    r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class TileHash:
    """One hash of a tile: the root over the leaves [index, index + 1) * 256**level."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Tile:
    """Names a tile; `level` is None for a bundle of entries. A full one has a width of 256."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def start(self) -> int:
        """Index of the first hash (or entry) within its level."""
        return self.index * TILE_WIDTH

    def path(self) -> str:
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(groups)}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Raises MalformedError: it is no path, or not the one path that the tile has."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise MalformedError("not the path of a tile")
        level, number, width = match.groups()
        tile = cls(
            None if level == "entries" else int(level),
            int(number.replace("x", "").replace("/", "")),
            TILE_WIDTH if width is None else int(width),
        )
        too_high = tile.level is not None and tile.level > MAX_LEVEL
        if too_high or tile.index > MAX_SIZE or tile.path() != path:
            raise MalformedError("not the path of a tile")
        return tile


def hashes_at(level: int, size: int) -> int:
    """Return how many hashes a tree of `size` has in the tiles of a level."""
    return size >> (TILE_HEIGHT * level)


def width_at(tile: Tile, size: int) -> int:
    """Return how wide the tile of this level and index is in a tree of `size`; 0 is absent."""
    return min(max(hashes_at(tile.level or 0, size) - tile.start, 0), TILE_WIDTH)


def tiles_of(size: int) -> list[Tile]:
    """Return every tile of hashes that a tree of `size` has, the lowest level first."""
    found = []
    level = 0
    while hashes := hashes_at(level, size):
        full, rest = divmod(hashes, TILE_WIDTH)
        found += [Tile(level, index) for index in range(full)]
        if rest:
            found.append(Tile(level, full, rest))
        level += 1
    return found


def split_hashes(content: bytes, width: int) -> tuple[bytes, ...]:
    """Raises MalformedError: these are not `width` hashes."""
    if len(content) != width * HASH_BYTES:
        raise MalformedError(f"not a tile of {width} hashes")
    return tuple(content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES))


def bundle(entries: Sequence[bytes]) -> bytes:
    """Return an entry bundle. Raises MalformedError: an entry is longer than it can hold."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise MalformedError(f"an entry of more than {MAX_ENTRY_BYTES} bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def split_bundle(content: bytes, width: int) -> tuple[bytes, ...]:
    """Raises MalformedError: these are not `width` entries."""
    entries = []
    at = 0
    while at < len(content):
        end = at + 2 + int.from_bytes(content[at : at + 2], "big")
        if at + 2 > len(content) or end > len(content):
            raise MalformedError("an entry bundle is cut off")
        entries.append(content[at + 2 : end])
        at = end
    if len(entries) != width:
        raise MalformedError(f"not a bundle of {width} entries")
    return tuple(entries)


class Pyramid:
    """A tile's hashes and, above them, the roots of all complete subtrees within it."""

    def __init__(self) -> None:
        self.rows: Final[tuple[list[bytes], ...]] = tuple([] for _ in range(TILE_HEIGHT + 1))

    def add(self, hashes: Sequence[bytes]) -> None:
        """Append hashes that stand beside those that are there."""
        self.rows[0].extend(hashes)
        for row, above in pairwise(self.rows):
            new = range(2 * len(above), len(row) - 1, 2)
            above.extend(node_hash(row[at], row[at + 1]) for at in new)


class TiledNodes:
    """`service.translog.proofs.Nodes` over tiles, each fetched once.

    `fetch` gets the tile as it is in a tree of `size` and returns its hashes. Not for use by
    several threads at once.
    """

    def __init__(self, size: int, fetch: Callable[[Tile], Sequence[bytes]]) -> None:
        self._size = size
        self._fetch = fetch
        self._pyramids: dict[tuple[int, int], Pyramid] = {}

    def __call__(self, level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, within = divmod(index << height, TILE_WIDTH)
        pyramid = self._pyramids.get((tile_level, tile_index))
        if pyramid is None:
            pyramid = self._pyramids[tile_level, tile_index] = Pyramid()
            whole = Tile(tile_level, tile_index)
            pyramid.add(self._fetch(Tile(tile_level, tile_index, width_at(whole, self._size))))
        return pyramid.rows[height][within >> height]


class GrowingNodes:
    """The nodes of a tree that grows: what was fetched for one size serves all that follow.

    A complete subtree never changes, so only hashes that are new are fetched, by `fetch(level,
    start, count)`, and hashed. Not for use by several threads at once.
    """

    def __init__(self, fetch: Callable[[int, int, int], Sequence[bytes]]) -> None:
        self._fetch: Final = fetch
        self._pyramids: dict[tuple[int, int], Pyramid] = {}

    def at(self, size: int) -> Callable[[int, int], bytes]:
        """Return `service.translog.proofs.Nodes` of the tree as it was at `size`."""

        def node(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, TILE_HEIGHT)
            tile_index, within = divmod(index << height, TILE_WIDTH)
            pyramid = self._pyramids.get((tile_level, tile_index))
            at = within >> height
            if pyramid is None or at >= len(pyramid.rows[height]):
                pyramid = self._grown(Tile(tile_level, tile_index), size)
            return pyramid.rows[height][at]

        return node

    def _grown(self, tile: Tile, size: int) -> Pyramid:
        """Return the pyramid over all that the tile holds in a tree of `size`."""
        place = (tile.level or 0, tile.index)
        pyramid = self._pyramids.get(place)
        if pyramid is None:
            if len(self._pyramids) >= KEPT_TILES:
                del self._pyramids[next(iter(self._pyramids))]
            pyramid = self._pyramids[place] = Pyramid()
        here = len(pyramid.rows[0])
        pyramid.add(self._fetch(place[0], tile.start + here, width_at(tile, size) - here))
        return pyramid
