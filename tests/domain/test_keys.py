"""The table of key states, names, and the statement that a signature stands for."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.digests import Digest
from service.domain.errors import InvalidRequestError
from service.domain.keys import NEXT_STATES, KeyState, parse_name
from service.domain.references import Repository
from service.domain.signing import Statement

ALLOWED = {
    ("staged", "active"),
    ("staged", "destroyed"),
    ("staged", "compromised"),
    ("active", "suspended"),
    ("active", "retired"),
    ("active", "compromised"),
    ("suspended", "active"),
    ("suspended", "retired"),
    ("suspended", "compromised"),
    ("retired", "compromised"),
    ("retired", "destroyed"),
    ("compromised", "destroyed"),
}


def test_a_key_moves_as_the_design_says_and_no_other_way() -> None:
    for old, new in itertools.product(KeyState, KeyState):
        assert (new in NEXT_STATES[old]) is ((old.value, new.value) in ALLOWED)


@pytest.mark.parametrize("name", ["release", "a", "team-1.build_2", "0"])
def test_a_plain_name_is_a_name(name: str) -> None:
    assert parse_name(name) == name


@pytest.mark.parametrize("name", ["", "Release", "-a", "a-", "a/b", "a b", "a\n", "a" * 65, "é"])
def test_anything_else_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_name(name)
    assert "name" in caught.value.errors


TEXTS = st.text(max_size=8)
STATEMENTS = st.builds(
    Statement,
    format=TEXTS,
    key=TEXTS,
    version=st.integers(1, 3),
    repository=st.just(Repository("r.example", "app")),
    digest=st.sampled_from([Digest("a" * 64), Digest("b" * 64)]),
    identity=TEXTS,
    annotations=st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
)


@given(STATEMENTS, STATEMENTS)
def test_two_statements_share_a_hash_only_if_they_are_equal(a: Statement, b: Statement) -> None:
    assert (a.hash() == b.hash()) is (a == b)
