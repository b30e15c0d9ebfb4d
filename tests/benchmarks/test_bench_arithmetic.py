"""The pure part of the benchmarks: parts of requests, COMP, the table."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ceilings import Rate, comp, mean
from benchmarks.processes import Meter, Split
from benchmarks.report import ATTACH, BATCH, SINGLE, Report, Row
from benchmarks.rows import Result
from benchmarks.steady import Span, requests_inside

moments = st.floats(0, 100, allow_nan=False)
spans = st.builds(
    lambda began, took: Span(began, began + took), moments, st.floats(0.001, 50, allow_nan=False)
)


@given(st.lists(spans, max_size=20), moments, st.floats(0.01, 50))
def test_windows_side_by_side_count_every_request_exactly_once(
    requests: list[Span], begin: float, width: float
) -> None:
    edges = [-1, begin, begin + width, 1000]
    parts = [requests_inside(requests, a, b) for a, b in pairwise(edges)]
    assert sum(parts) == pytest.approx(len(requests))


@given(spans)
def test_a_request_outside_of_the_window_does_not_count(request_: Span) -> None:
    assert requests_inside([request_], request_.ended, request_.ended + 1) == 0
    assert requests_inside([request_], request_.began, request_.ended) == pytest.approx(1)


@given(st.integers(1, 8), st.floats(0.1, 3), st.floats(0.5, 20))
def test_callers_that_are_always_busy_are_counted_at_their_own_rate(
    callers: int, takes: float, window: float
) -> None:
    count = int((window + 2 * takes) / takes) + 2
    offsets = [takes * number / callers for number in range(callers)]
    requests = [
        Span(offset + n * takes - takes, offset + (n + 1) * takes - takes)
        for offset in offsets
        for n in range(count)
    ]
    assert requests_inside(requests, takes, takes + window) == pytest.approx(
        callers * window / takes
    )


def test_two_equal_ceilings_in_a_row_give_half() -> None:
    assert comp(100, 100) == pytest.approx(50)
    assert comp(100, 300) == pytest.approx(75)
    assert mean(Rate(10, 2), Rate(30, 4)) == Rate(20, 3)


def test_what_nobody_of_ours_used_is_told_apart_from_what_was_idle() -> None:
    first = Meter(at=0, own=1, workers=(1, 2), registry=0, busy=10)
    last = Meter(at=10, own=2, workers=(5, 3), registry=1, busy=20)
    split = Split.between(first, last)
    assert split.workers == (0.4, 0.1)
    assert (split.registry, split.generator) == (0.1, 0.1)
    assert split.others == pytest.approx(0.3)


def _report(batch: float, mebibytes: float) -> Report:
    rows = (
        Row(BATCH, [Result(batch + step, 1, f"reason {step}") for step in (0.1, 0, -0.1)]),
        Row(SINGLE, [Result(0.3, 1, "why")]),
        Row(ATTACH, [Result(0.9, 1, "why")]),
    )
    return Report(rows, [1.0, mebibytes, 2.0])


def test_a_row_that_falls_short_says_why_with_the_words_of_its_median_round() -> None:
    lines = _report(0.5, 50).lines()
    assert any("0.50 (0.40 to 0.60)" in line and line.endswith("short") for line in lines)
    assert [line for line in lines if line.startswith("\nShort: ")] == [
        f"\nShort: {BATCH.name}: reason 0."
    ]


def test_a_row_that_reaches_its_target_is_not_called_short() -> None:
    lines = _report(0.6, 50).lines()
    assert not any("short" in line.lower() for line in lines)
    assert sum(line.endswith("reached") for line in lines) == 4


def test_the_largest_reading_decides_about_memory() -> None:
    assert any(
        line.startswith("\nShort: memory: 1, 101, 2 MiB") for line in _report(1, 101).lines()
    )
    assert not any("Short: memory" in line for line in _report(1, 100).lines())


def test_the_json_holds_every_round() -> None:
    told = json.loads(json.dumps(_report(0.5, 50).as_json()))
    assert [row["falls_short"] for row in told["rows"]] == [True, False, False]
    assert [one["ratio"] for one in told["rows"][0]["rounds"]] == pytest.approx([0.6, 0.5, 0.4])
    assert told["worker_mebibytes"]["after_each_round"] == [1, 50, 2]
