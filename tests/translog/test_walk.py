"""Walking a log by its tiles: all of it is seen, and any change shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.translog.errors import MalformedError, ProofInvalidError
from service.translog.frontier import EMPTY, grow
from service.translog.merkle import leaf_hash
from service.translog.tiles import Tile, TileHash, bundle, tiles_of
from service.translog.walk import Walk, check_tiles
from tests.support.merkle import slow_root


class Log:
    """A log as its files. What `changed` names is served with its last byte flipped."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries = [f"entry {number}".encode() for number in range(size)]
        leaves = [leaf_hash(entry) for entry in self.entries]
        self.hashes = [TileHash(0, index, one) for index, one in enumerate(leaves)]
        self.hashes += grow(EMPTY, leaves).full_tiles
        self.changed: Tile | None = None

    def fetch(self, tile: Tile) -> bytes:
        span = slice(tile.start, tile.start + tile.width)
        if tile.level is None:
            content = bundle(self.entries[span])
        else:
            row = [one.hash for one in self.hashes if one.level == tile.level]
            content = b"".join(row[span])
        if tile == self.changed:
            return content[:-1] + bytes([content[-1] ^ 1])
        return content


SIZES = st.sampled_from([0, 1, 255, 256, 257, 300, 512, 600])


@given(SIZES)
def test_a_walk_sees_every_entry_and_comes_to_the_root(size: int) -> None:
    log = Log(size)
    walk = Walk(log.fetch)
    assert list(walk.entries(size)) == list(enumerate(log.entries))
    assert walk.frontier.root() == slow_root(log.entries)
    assert list(check_tiles(size, log.fetch)) == list(enumerate(log.entries))


@given(SIZES, SIZES)
def test_a_walk_goes_on_from_where_another_ended(one: int, other: int) -> None:
    old, new = sorted((one, other))
    log = Log(new)
    first = Walk(log.fetch)
    list(first.entries(old))
    second = Walk(log.fetch, first.frontier)
    assert list(second.entries(new)) == list(enumerate(log.entries))[old:]
    assert second.frontier.root() == slow_root(log.entries)


@pytest.mark.parametrize("size", [1, 257, 600])
def test_a_change_of_any_tile_shows(size: int) -> None:
    log = Log(size)
    for tile in tiles_of(size):
        log.changed = tile
        with pytest.raises(ProofInvalidError):
            list(check_tiles(size, log.fetch))
        if tile.level == 0:
            # Another entry: its own tile no longer fits it.
            log.changed = Tile(None, tile.index, tile.width)
            with pytest.raises(ProofInvalidError):
                list(check_tiles(size, log.fetch))


def test_a_bundle_that_is_cut_off_is_none() -> None:
    log = Log(3)
    with pytest.raises(MalformedError):
        list(Walk(lambda tile: log.fetch(tile)[:-1]).entries(3))
