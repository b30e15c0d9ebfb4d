"""Our DER is that of asn1crypto, which is slower and shares no code with it."""

from __future__ import annotations

from datetime import UTC, datetime

from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from service.formats import der

NUMBERS = st.integers(0, 2**200)


@given(NUMBERS)
def test_whole_numbers(value: int) -> None:
    assert der.integer(value) == core.Integer(value).dump()


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), min_size=1))
def test_names_of_objects(first: int, second: int, rest: list[int]) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))
    assert der.oid(dotted) == core.ObjectIdentifier(dotted).dump()


@given(st.integers(0, 70_000))
def test_lengths(size: int) -> None:
    content = bytes(size)
    assert der.octets(content) == core.OctetString(content).dump()


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  # UTC is added
def test_times(moment: datetime) -> None:
    at = moment.replace(microsecond=0, tzinfo=UTC)
    assert der.generalized_time(at) == core.GeneralizedTime(at).dump()


class Numbers(core.SetOf):  # type: ignore[misc]  # untyped
    _child_spec = core.Integer


@given(st.lists(NUMBERS, max_size=6))
def test_a_set_has_one_order(values: list[int]) -> None:
    assert der.set_of(map(der.integer, values)) == Numbers(values).dump()
