"""The fast ways of strict JSON against the slow ones, which say what is right."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.formats import strictjson

texts = st.text() | st.sampled_from(
    ["<&>", "\u2028\u2029", "\x00\x1f\x7f", '"\\/', "\b\f\n\r\t", "é"]
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)
everything = st.recursive(
    plain | st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(plain)
def test_plain_values_are_written_the_same_way_fast_and_slow(value: object) -> None:
    assert strictjson.dump_plain(value) == strictjson.dump(value)


@given(plain)
def test_what_is_written_is_what_go_escapes(value: object) -> None:
    written = strictjson.dump(value)
    assert not any(c in written.decode() for c in "<>&\u2028\u2029")
    assert json.loads(written) == value


@given(everything, st.sampled_from([(",", ":"), (", ", ": ")]), st.booleans())
def test_every_spelling_is_read_as_the_standard_library_reads_it(
    value: object, separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    read = strictjson.load(text.encode())
    assert read == json.loads(text)
    assert repr(read) == repr(json.loads(text))  # 1 and 1.0 and True are equal


@pytest.mark.parametrize("write", [strictjson.dump, strictjson.dump_plain])
def test_half_a_surrogate_pair_cannot_be_written(write: Callable[[object], bytes]) -> None:
    with pytest.raises(strictjson.StrictJSONError):
        write({"a": "\ud800"})


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":1,"a":1}', id="twice-the-same"),
        pytest.param('{"a":1,"a":2}', id="twice"),
        pytest.param('[{"b":{"a":1,"\\u0061":2}}]', id="twice-by-escape"),
        pytest.param("NaN", id="nan"),
        pytest.param("[1e999]", id="infinite"),
        pytest.param('"\\ud800"', id="half-a-pair"),
        pytest.param("1 2", id="two-values"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("[" * 5_000 + "]" * 5_000, id="deep-and-whole"),
        pytest.param("", id="empty"),
        pytest.param("\ufeff1", id="byte-order-mark"),
    ],
)
def test_what_two_readers_may_read_in_two_ways_is_refused(text: str) -> None:
    assert strictjson.load(b'{"a":1,"b":1}') == {"a": 1, "b": 1}
    with pytest.raises(strictjson.StrictJSONError):
        strictjson.load(text.encode())
