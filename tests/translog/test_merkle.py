"""Trees and proofs against the RFC's recursive definition."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.translog.errors import MalformedError, ProofInvalidError
from service.translog.frontier import EMPTY, Frontier, grow
from service.translog.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    root_from_inclusion,
)
from service.translog.proofs import (
    CheckedProofs,
    consistency_proof,
    inclusion_proof,
    tree_root,
)
from tests.support.merkle import grew, slow_leaf, slow_path, slow_proof, slow_root

ENTRIES = [f"entry {number}".encode() for number in range(600)]
SIZES = st.one_of(st.integers(1, 70), st.sampled_from([255, 256, 257, 511, 512, 513, 600]))


@cache
def node(level: int, index: int) -> bytes:
    return slow_root(ENTRIES[index << level : (index + 1) << level])


def grown(size: int) -> Frontier:
    return grow(EMPTY, map(leaf_hash, ENTRIES[:size])).frontier


def test_the_vectors_of_certificate_transparency() -> None:
    # certificate-transparency-go, merkle testing: roots of the first trees over these leaves.
    leaves = [
        bytes.fromhex(text)
        for text in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    assert leaf_hash(b"").hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert grow(EMPTY, map(leaf_hash, leaves)).frontier.root().hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )
    assert EMPTY.root() == EMPTY_ROOT == slow_root([])


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_grown_in_steps_has_the_root_of_the_whole(steps: list[int]) -> None:
    frontier = EMPTY
    for step in steps:
        batch = ENTRIES[frontier.size : frontier.size + step]
        frontier = grow(frontier, map(leaf_hash, batch)).frontier
        assert frontier.root() == slow_root(ENTRIES[: frontier.size])
        assert Frontier.load(frontier.size, frontier.dump()) == frontier
    assert frontier.size == sum(steps)


@given(SIZES, st.integers(0, 600))
def test_the_roots_of_full_tiles_come_when_they_become_full(old: int, more: int) -> None:
    start = grown(old)
    new = min(old + more, 600)
    made = grow(start, map(leaf_hash, ENTRIES[old:new]))
    expected = {(1, index) for index in range(old // 256, new // 256)}
    assert {(tile.level, tile.index) for tile in made.full_tiles} == expected
    for tile in made.full_tiles:
        assert tile.hash == node(8, tile.index)


@given(SIZES.flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_an_inclusion_proof_is_the_rfcs_and_leads_to_the_root(case: tuple[int, int]) -> None:
    size, index = case
    proof = inclusion_proof(index, size, node)
    assert list(proof) == slow_path(index, ENTRIES[:size])
    root = root_from_inclusion(slow_leaf(ENTRIES[index]), index=index, size=size, proof=proof)
    assert root == slow_root(ENTRIES[:size]) == tree_root(size, node)


SOME_OF_A_TREE = SIZES.flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), max_size=20))
)


@given(SOME_OF_A_TREE)
def test_proofs_that_share_what_they_have_in_common_are_those_that_share_nothing(
    case: tuple[int, list[int]],
) -> None:
    size, indexes = case
    proofs = CheckedProofs(size, tree_root(size, node), node)
    for index in indexes:
        assert proofs(index, slow_leaf(ENTRIES[index])) == inclusion_proof(index, size, node)


@given(SOME_OF_A_TREE)
def test_a_shared_proof_is_of_no_other_leaf_than_the_one_that_is_there(
    case: tuple[int, list[int]],
) -> None:
    size, indexes = case
    proofs = CheckedProofs(size, tree_root(size, node), node)
    for index in indexes:
        with pytest.raises(ProofInvalidError, match="another leaf"):
            proofs(index, slow_leaf(b"another"))
    for index in (-1, size):
        with pytest.raises(ProofInvalidError, match="outside"):
            proofs(index, slow_leaf(ENTRIES[0]))


@given(st.integers(2, 70), st.data())
def test_nodes_that_do_not_lead_to_the_root_prove_nothing(size: int, data: st.DataObject) -> None:
    damaged = data.draw(st.integers(0, size - 1))

    def wrong(level: int, index: int) -> bytes:
        return bytes(32) if index == damaged >> level else node(level, index)

    proofs = CheckedProofs(size, tree_root(size, node), wrong)
    with pytest.raises(ProofInvalidError, match="another root"):
        proofs(damaged, slow_leaf(ENTRIES[damaged]))


@given(
    SIZES.flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))),
    st.data(),
)
def test_a_damaged_inclusion_proof_does_not_lead_to_the_root(
    case: tuple[int, int], data: st.DataObject
) -> None:
    size, index = case
    leaf, root = slow_leaf(ENTRIES[index]), slow_root(ENTRIES[:size])
    proof = list(inclusion_proof(index, size, node))
    with pytest.raises(ProofInvalidError, match="too long"):
        root_from_inclusion(leaf, index=index, size=size, proof=[*proof, bytes(32)])
    assert root_from_inclusion(bytes(32), index=index, size=size, proof=proof) != root
    if not proof:
        return
    with pytest.raises(ProofInvalidError, match="too short"):
        root_from_inclusion(leaf, index=index, size=size, proof=proof[:-1])
    at = data.draw(st.integers(0, len(proof) - 1))
    damaged = [*proof[:at], bytes(32), *proof[at + 1 :]]
    assert root_from_inclusion(leaf, index=index, size=size, proof=damaged) != root
    cut = [*proof[:at], proof[at][:-1], *proof[at + 1 :]]
    with pytest.raises(ProofInvalidError, match="32 bytes"):
        root_from_inclusion(leaf, index=index, size=size, proof=cut)
    elsewhere = data.draw(st.integers(0, size - 1))
    if elsewhere != index:
        try:
            moved = root_from_inclusion(leaf, index=elsewhere, size=size, proof=proof)
        except ProofInvalidError:
            return
        assert moved != root


@given(SIZES.flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_a_consistency_proof_is_the_rfcs_and_leads_from_the_old_root_to_the_new(
    case: tuple[int, int],
) -> None:
    old, new = case
    proof = consistency_proof(old, new, node)
    assert list(proof) == slow_proof(old, ENTRIES[:new])
    old_root = slow_root(ENTRIES[:old])
    assert grew((old, old_root), (new, slow_root(ENTRIES[:new])), proof)
    damaged = [*proof[:-1], bytes(32)]
    assert not grew((old, old_root), (new, slow_root(ENTRIES[:new])), damaged)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ProofInvalidError, match="outside"):
        root_from_inclusion(bytes(32), index=index, size=size, proof=[])
    with pytest.raises(ValueError, match="outside"):
        inclusion_proof(index, size, node)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 3), (4, 3), (-1, 3)])
def test_a_tree_that_did_not_grow_has_no_consistency_proof(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="did not grow"):
        consistency_proof(old, new, node)


@pytest.mark.parametrize(
    ("size", "content"), [(-1, b""), (3, bytes(32)), (4, bytes(64)), (1, bytes(31)), (0, bytes(32))]
)
def test_a_frontier_that_does_not_fit_its_size_cannot_be_had(size: int, content: bytes) -> None:
    with pytest.raises(MalformedError):
        Frontier.load(size, content)
