"""Tiles: their paths, their bytes, and proofs made from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.translog.errors import MalformedError
from service.translog.frontier import EMPTY, grow
from service.translog.merkle import leaf_hash
from service.translog.proofs import inclusion_proof, tree_root
from service.translog.tiles import (
    KEPT_TILES,
    MAX_ENTRY_BYTES,
    GrowingNodes,
    Tile,
    TiledNodes,
    TileHash,
    bundle,
    hashes_at,
    split_bundle,
    split_hashes,
    tiles_of,
    width_at,
)
from tests.support.merkle import slow_path

TILES = st.builds(
    Tile,
    st.one_of(st.none(), st.integers(0, 63)),
    st.one_of(st.integers(0, 2000), st.integers(0, 1 << 62)),
    st.integers(1, 256),
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 1234067), "tile/0/x001/x234/067"),  # the specification's example
        (Tile(0, 0), "tile/0/000"),
        (Tile(63, 999, 1), "tile/63/999.p/1"),
        (Tile(None, 1000, 255), "tile/entries/x001/000.p/255"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert Tile.parse(path) == tile


@given(TILES)
def test_a_path_is_read_back_as_it_was_written(tile: Tile) -> None:
    assert Tile.parse(tile.path()) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0",
        "tile/0/0",
        "tile/00/000",
        "tile/-1/000",
        "tile/64/000",
        "tile/0/x000/001",
        "tile/0/001/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000 ",
        "tile/0/000\n",
        "/tile/0/000",
        "tile/entries",
        "tile/Entries/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/" + "x999/" * 7 + "999",
    ],
)
def test_what_is_not_the_one_path_of_a_tile_is_refused(path: str) -> None:
    with pytest.raises(MalformedError):
        Tile.parse(path)


def test_a_tree_has_the_tiles_of_the_specifications_example() -> None:
    tiles = tiles_of(70_000)
    assert len([t for t in tiles if t.level == 0 and t.width == 256]) == 273
    assert tiles[273:] == [
        Tile(0, 273, 112),
        Tile(1, 0),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert tiles_of(256) == [Tile(0, 0), Tile(1, 0, 1)]
    assert tiles_of(0) == []


@given(st.integers(0, 1 << 20))
def test_every_tile_is_as_wide_as_the_tree_makes_it(size: int) -> None:
    for tile in tiles_of(size):
        assert tile.level is not None
        assert width_at(Tile(tile.level, tile.index), size) == tile.width
        assert width_at(Tile(tile.level, hashes_at(tile.level, size) // 256 + 1), size) == 0
    assert sum(tile.width for tile in tiles_of(size) if tile.level == 0) == size


@given(st.lists(st.binary(max_size=300), max_size=12))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    content = bundle(entries)
    assert list(split_bundle(content, len(entries))) == entries
    with pytest.raises(MalformedError):
        split_bundle(content, len(entries) + 1)
    with pytest.raises(MalformedError):
        split_bundle(content + b"\x00", len(entries))
    with pytest.raises(MalformedError):
        split_bundle(content + b"\x00\x01", len(entries) + 1)


def test_a_bundle_is_length_and_entry_big_endian() -> None:
    assert bundle([b"ab", b"", b"x" * 258]) == b"\x00\x02ab\x00\x00\x01\x02" + b"x" * 258


def test_an_entry_has_65535_bytes_at_most() -> None:
    longest = b"x" * MAX_ENTRY_BYTES
    assert split_bundle(bundle([longest]), 1) == (longest,)
    with pytest.raises(MalformedError):
        bundle([longest + b"x"])


def test_a_tile_of_hashes_has_exactly_its_width() -> None:
    assert split_hashes(b"a" * 32 + b"b" * 32, 2) == (b"a" * 32, b"b" * 32)
    for wrong in (b"", b"a" * 63, b"a" * 96):
        with pytest.raises(MalformedError):
            split_hashes(wrong, 2)


class Tiles:
    """A tree kept as tiles, and which of them were asked for."""

    def __init__(self, entries: list[bytes]) -> None:
        self.size = len(entries)
        leaves = [leaf_hash(entry) for entry in entries]
        grown = grow(EMPTY, leaves)
        self.root = grown.frontier.root()
        self.hashes = [TileHash(0, index, one) for index, one in enumerate(leaves)]
        self.hashes += grown.full_tiles
        self.asked: list[Tile] = []

    def fetch(self, tile: Tile) -> list[bytes]:
        self.asked.append(tile)
        row = [one.hash for one in self.hashes if one.level == tile.level]
        return row[tile.start : tile.start + tile.width]


@given(st.sampled_from([1, 2, 255, 256, 257, 300, 512, 700]), st.data())
def test_proofs_are_made_from_tiles_each_fetched_once(size: int, data: st.DataObject) -> None:
    entries = [str(number).encode() for number in range(size)]
    tiles = Tiles(entries)
    nodes = TiledNodes(size, tiles.fetch)
    assert tree_root(size, nodes) == tiles.root
    for index in data.draw(st.lists(st.integers(0, size - 1), max_size=4)):
        assert list(inclusion_proof(index, size, nodes)) == slow_path(index, entries)
    assert len(tiles.asked) == len(set(tiles.asked))
    assert set(tiles.asked) <= set(tiles_of(size))


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_of_a_tree_that_grows_each_hash_is_fetched_once_and_old_sizes_stay(
    sizes: list[int],
) -> None:
    entries = [str(number).encode() for number in range(max(sizes))]
    tiles = Tiles(entries)
    fetched: list[tuple[int, int]] = []

    def fetch(level: int, start: int, count: int) -> list[bytes]:
        fetched.extend((level, start + number) for number in range(count))
        return [one.hash for one in tiles.hashes if one.level == level][start : start + count]

    nodes = GrowingNodes(fetch)
    for size in sizes:
        assert tree_root(size, nodes.at(size)) == Tiles(entries[:size]).root
    assert len(fetched) == len(set(fetched))


def test_of_a_tree_that_grows_only_the_newest_tiles_are_kept() -> None:
    size = 256 * (KEPT_TILES + 1)
    nodes = GrowingNodes(lambda level, start, count: [bytes(32)] * count)
    for index in range(size):
        nodes.at(size)(0, index)
    assert len(nodes._pyramids) == KEPT_TILES
