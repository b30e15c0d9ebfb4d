from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from service.domain.errors import HSMUnavailableError, StoreUnavailableError
from service.worker import Chore, Chores


class HandClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def test_a_chore_is_done_at_once_and_then_every_so_many_seconds() -> None:
    clock, done = HandClock(), []
    chores = Chores(
        [
            Chore("often", 1.0, lambda: done.append("often")),
            Chore("seldom", 10.0, lambda: done.append("seldom")),
        ],
        clock,
    )
    chores.run_due()
    chores.run_due()
    assert done == ["often", "seldom"]
    for second in range(1, 11):
        clock.seconds = second
        chores.run_due()
    assert (done.count("often"), done.count("seldom")) == (11, 2)


@pytest.mark.parametrize("fault", [StoreUnavailableError(), ZeroDivisionError("a bug")])
def test_a_chore_that_fails_ends_nothing_and_is_tried_again(fault: Exception) -> None:
    clock, tries, done = HandClock(), [], []

    def fail() -> None:
        tries.append(1)
        raise fault

    chores = Chores([Chore("bad", 1.0, fail), Chore("good", 1.0, lambda: done.append(1))], clock)
    chores.run_due()
    clock.seconds = 1.0
    chores.run_due()
    assert (len(tries), len(done)) == (2, 2)


def test_what_goes_on_failing_is_told_once_a_minute_and_what_fails_anew_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = HandClock()
    faults: list[Exception | None] = []

    def run() -> None:
        fault = faults.pop(0)
        if fault is not None:
            raise fault

    chores = Chores([Chore("bad", 1.0, run)], clock)
    away, down = HSMUnavailableError("away"), StoreUnavailableError("down")
    told = []
    for second, fault in enumerate([away, away, down, down, None, down]):
        clock.seconds = second
        faults.append(fault)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            chores.run_due()
        told.append([getattr(record, "code", None) for record in caplog.records])
    assert told == [[away.code], [], [down.code], [], [], [down.code]]
    clock.seconds += 60.0
    faults.append(down)
    caplog.clear()
    chores.run_due()
    assert [getattr(record, "code", None) for record in caplog.records] == [down.code]
