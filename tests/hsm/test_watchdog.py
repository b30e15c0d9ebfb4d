"""Calls that do not come back are noticed, and nothing else is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hsm import watchdog
from hsm.watchdog import CALL_SECONDS, GENERATING, TICK_SECONDS, Patience

LOOKS = round(CALL_SECONDS / TICK_SECONDS)


@pytest.fixture
def look() -> Callable[[int], list[str]]:
    """Looks so often, a tick apart, and returns what turned out to be stuck."""
    watch = watchdog._Watch()

    def look(times: int) -> list[str]:
        found = [module for _ in range(times) for module in watch._look(TICK_SECONDS)]
        # Threads of other tests may still be inside a real one, which has a path.
        return [module for module in found if not module.startswith("/")]

    return look


@contextmanager
def staying(module: str, *patience: Patience) -> Iterator[Callable[[], None]]:
    """A thread that is inside a module; yields what lets it go on to another call."""
    entered, leave, go_on, went_on = (threading.Event() for _ in range(4))

    def stay() -> None:
        with watchdog.inside(module):
            for each in patience:
                watchdog.begin(each)
            entered.set()
            while not leave.is_set():
                go_on.wait()
                go_on.clear()
                watchdog.begin()
                went_on.set()

    def further() -> None:
        went_on.clear()
        go_on.set()
        went_on.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    entered.wait()
    try:
        yield further
    finally:
        leave.set()
        go_on.set()
        thread.join()


def test_a_call_is_stuck_after_its_time_and_is_told_of_once(
    look: Callable[[int], list[str]],
) -> None:
    with staying("a"):
        assert look(LOOKS) == []
        assert look(2) == ["a"]
        assert look(5 * LOOKS) == []


def test_a_thread_that_goes_from_call_to_call_is_not_stuck(
    look: Callable[[int], list[str]],
) -> None:
    with staying("busy") as further, staying("stuck"):
        found = []
        for _ in range(4):
            found += look(LOOKS - 1)
            further()
        assert found == ["stuck"]


def test_time_outside_of_calls_does_not_count(look: Callable[[int], list[str]]) -> None:
    with staying("a", Patience.ENDLESS) as further:
        assert look(3 * LOOKS) == []
        further()
        assert look(LOOKS + 2) == ["a"]


def test_keys_may_take_their_time_and_keep_others_of_their_module_waiting(
    look: Callable[[int], list[str]],
) -> None:
    with staying("a", Patience.GENERATE), staying("a"), staying("b"):
        assert look(3 * LOOKS) == ["b"]
        assert look(round(GENERATING * LOOKS)) == ["a", "a"]


def test_a_process_that_slept_has_not_waited(look: Callable[[int], list[str]]) -> None:
    # The watching thread caps what one look adds; a single late look makes nothing stuck.
    watch = watchdog._Watch()
    with staying("a"):
        list(watch._look(TICK_SECONDS))
        assert list(watch._look(min(1000.0, 2 * TICK_SECONDS))) == []


def test_a_stay_within_a_stay_is_watched_and_the_outer_one_again_after_it(
    look: Callable[[int], list[str]],
) -> None:
    with watchdog.inside("outer"):
        with watchdog.inside("inner"):
            assert look(LOOKS + 2) == ["inner"]
        assert look(LOOKS + 2) == ["outer"]
    assert look(2 * LOOKS) == []


def test_listeners_are_called_by_a_thread_of_its_own_until_they_are_removed() -> None:
    told: list[str] = []
    heard = threading.Event()

    def listen(module: str) -> None:
        told.append(threading.current_thread().name)
        if module == "real":
            heard.set()

    remove = watchdog.watch(listen, call_seconds=0.05)
    try:
        with staying("real"):
            assert heard.wait(60)
    finally:
        remove()
    assert set(told) == {"hsm-watchdog"}
    assert listen not in watchdog._watch._listeners


def test_a_forked_child_begins_with_nothing_on_record() -> None:
    with staying("a"):
        child = os.fork()
        if child == 0:
            nothing = not watchdog._visits and not watchdog._watch._listeners
            os._exit(0 if nothing else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert watchdog._visits
