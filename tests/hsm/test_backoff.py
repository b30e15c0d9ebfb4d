"""How long a failing token is left alone."""

from __future__ import annotations

from dataclasses import dataclass

from hsm.backoff import LONGEST_SECONDS, Backoff


@dataclass
class HandClock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_pauses_double_up_to_the_cap_and_end() -> None:
    clock = HandClock()
    backoff = Backoff(clock)
    assert backoff.remaining() <= 0
    pauses = []
    for _ in range(50):
        pauses.append(round(backoff.failed(), 6))
        assert backoff.remaining() > 0
        clock.seconds += pauses[-1]
        assert backoff.remaining() <= 0
    assert pauses[:4] == [0.1, 0.2, 0.4, 0.5]
    assert set(pauses[4:]) == {LONGEST_SECONDS}


def test_failures_that_several_threads_report_of_one_fault_count_once() -> None:
    clock = HandClock()
    backoff = Backoff(clock)
    assert [backoff.failed() for _ in range(3)] == [0.1, 0.1, 0.1]
    clock.seconds = 0.1
    assert round(backoff.failed(), 6) == 0.2


def test_a_success_ends_the_pause_and_the_count() -> None:
    clock = HandClock()
    backoff = Backoff(clock)
    backoff.failed()
    backoff.succeeded()
    assert backoff.remaining() <= 0
    assert backoff.failed() == 0.1
