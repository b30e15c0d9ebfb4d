"""One run for many callers, under threads that come while another run is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from service.domain.errors import KeyNotFoundError, StoreUnavailableError
from service.operations.joint import Joint
from tests.support.oci import TurnedClock


class Runs:
    """Doubles numbers. The first run waits until it may go on; every run is on record."""

    def __init__(self, refuse: Callable[[Sequence[int]], None] = lambda _: None) -> None:
        self.seen: list[list[int]] = []
        self.began, self.go_on = threading.Event(), threading.Event()
        self._refuse = refuse

    def __call__(self, shares: Sequence[int]) -> Sequence[int]:
        self.seen.append(list(shares))
        if not self.began.is_set():
            self.began.set()
            self.go_on.wait(60)
        self._refuse(shares)
        return [2 * share for share in shares]


def side_by_side(runs: Runs, shares: Sequence[int], *, apart: bool = True) -> list[object]:
    """Call with 0, and with each of `shares` while that call's run is under way."""
    joint = Joint(runs, apart=apart)
    outcomes: list[object] = [None] * len(shares)

    def call(number: int) -> None:
        try:
            outcomes[number] = joint(shares[number])
        except Exception as error:  # noqa: BLE001  # compared by the test
            outcomes[number] = error

    first = threading.Thread(target=joint, args=(0,))
    first.start()
    runs.began.wait(60)
    others = [threading.Thread(target=call, args=(number,)) for number in range(len(shares))]
    for other in others:
        other.start()
    while len(joint._waiting) < len(shares):
        assert any(other.is_alive() for other in others)
    runs.go_on.set()
    for thread in [first, *others]:
        thread.join()
    return outcomes


def test_whoever_comes_during_a_run_is_served_by_the_next_together_with_the_others() -> None:
    runs = Runs()
    assert side_by_side(runs, [1, 2, 3]) == [2, 4, 6]
    assert [sorted(run) for run in runs.seen] == [[0], [1, 2, 3]]


def shared(
    clock: TurnedClock, *, took: float
) -> tuple[Runs, Joint[int, int], list[threading.Thread]]:
    """Return what two wait for whom a third has kept waiting for so long, with all that runs."""
    runs = Runs()
    joint = Joint(runs, clock=clock, gather_seconds=60.0)
    first = threading.Thread(target=joint, args=(0,))
    first.start()
    runs.began.wait(60)
    others = [threading.Thread(target=joint, args=(share,)) for share in (1, 2)]
    for other in others:
        other.start()
    while len(joint._waiting) < len(others):
        assert any(other.is_alive() for other in others)
    clock.turn(took)
    runs.go_on.set()
    first.join()
    return runs, joint, others


def test_a_run_waits_for_those_whom_the_last_one_has_answered() -> None:
    runs, joint, others = shared(TurnedClock(), took=120.0)
    assert joint(3) == 6
    for other in others:
        other.join()
    assert [sorted(run) for run in runs.seen] == [[0], [1, 2, 3]]


def test_a_run_waits_no_longer_for_those_who_do_not_come_again() -> None:
    runs, _, others = shared(TurnedClock(), took=0.02)
    for other in others:
        other.join()
    assert [sorted(run) for run in runs.seen] == [[0], [1, 2]]


def test_who_calls_again_and_again_alone_waits_for_nobody() -> None:
    clock = TurnedClock()

    def run(shares: Sequence[int]) -> Sequence[int]:
        clock.turn(120.0)
        return shares

    joint = Joint(run, clock=clock, gather_seconds=60.0)
    assert [joint(share) for share in range(3)] == [0, 1, 2]


def test_a_caller_alone_waits_for_nobody() -> None:
    runs = Runs()
    runs.began.set()
    joint = Joint(runs)
    assert (joint(1), joint(2)) == (2, 4)
    assert runs.seen == [[1], [2]]


@pytest.mark.parametrize("error", [KeyError("bug"), KeyNotFoundError("none")])
def test_what_fails_for_one_fails_for_nobody_else(error: Exception) -> None:
    def refuse(shares: Sequence[int]) -> None:
        if 2 in shares:
            raise error

    assert side_by_side(Runs(refuse), [1, 2, 3]) == [2, error, 6]


def test_a_store_that_is_away_is_asked_once_and_each_is_told_by_an_error_of_its_own() -> None:
    def refuse(shares: Sequence[int]) -> None:
        if 0 not in shares:
            raise StoreUnavailableError("away", retry_after=1.5)

    runs = Runs(refuse)
    outcomes = side_by_side(runs, [1, 2])
    assert len(runs.seen) == 2
    assert [type(outcome) for outcome in outcomes] == [StoreUnavailableError] * 2
    assert outcomes[0] is not outcomes[1]
    assert all(getattr(outcome, "retry_after", None) == 1.5 for outcome in outcomes)


def test_a_run_that_must_not_be_done_twice_fails_for_all_who_share_it() -> None:
    def refuse(shares: Sequence[int]) -> None:
        if 2 in shares:
            raise KeyNotFoundError("none")

    runs = Runs(refuse)
    outcomes = side_by_side(runs, [1, 2, 3], apart=False)
    assert [sorted(run) for run in runs.seen] == [[0], [1, 2, 3]]
    assert [(type(outcome), str(outcome)) for outcome in outcomes] == [
        (KeyNotFoundError, "none")
    ] * 3
    assert len({id(outcome) for outcome in outcomes}) == 3


def test_who_comes_while_others_are_served_leads_the_run_after_them() -> None:
    runs = Runs()
    runs.began.set()
    joint = Joint(runs)
    sums: list[int] = []
    threads = [
        threading.Thread(target=lambda: sums.extend(joint(1) for _ in range(200))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [2] * 1600
    assert sum(len(run) for run in runs.seen) == 1600
