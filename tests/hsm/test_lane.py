"""Threads that call a module for others, and those others when a call does not come back."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

import hsm
from hsm import lane as lanes
from hsm.lane import Lane


@dataclass
class Call:
    """Something that comes back when it is told to."""

    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> str:
        self.begun.set()
        self.over.wait()
        return "came back"


@dataclass
class Caller:
    """A thread that runs something in a lane, and what came of it."""

    lane: Lane
    function: Callable[[], object]
    said: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        try:
            self.said.append(self.lane.run(self.function))
        except hsm.HSMError as error:
            self.said.append(error)

    def end(self) -> object:
        self.thread.join()
        [said] = self.said
        return said


@pytest.fixture
def lane() -> Lane:
    return Lane("token", threads=2)


@pytest.fixture
def call() -> Iterator[Call]:
    made = Call()
    yield made
    made.over.set()


def test_what_a_function_returns_and_raises_reaches_its_caller(lane: Lane) -> None:
    assert lane.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        lane.run(lambda: 1 // 0)
    assert lane.run(lambda: threading.current_thread().name) == "hsm-token"


def test_no_more_run_at_once_than_there_are_threads_and_all_run_in_the_end(lane: Lane) -> None:
    together, most, lock = 0, 0, threading.Lock()

    def count() -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        os.sched_yield()
        with lock:
            together -= 1

    callers = [Caller(lane, count) for _ in range(20)]
    assert [caller.end() for caller in callers] == [None] * 20
    assert 1 <= most <= 2


def test_whoever_waits_is_let_go_and_nobody_new_is_taken_on_until_the_call_is_back(
    lane: Lane, call: Call
) -> None:
    second, ran = Call(), []
    running = [Caller(lane, call), Caller(lane, second)]
    call.begun.wait()
    second.begun.wait()
    queued = Caller(lane, lambda: ran.append(1))
    while len(lane._open) < 3:
        os.sched_yield()
    lane.let_go()
    for caller in [*running, queued]:
        assert isinstance(caller.end(), hsm.ModuleQuarantinedError)
    assert lane.is_stuck
    with pytest.raises(hsm.ModuleQuarantinedError) as refused:
        lane.run(lambda: 7)
    assert refused.value.retry_after == 1.0
    call.over.set()
    assert lane.is_stuck
    second.over.set()
    while lane.is_stuck:
        os.sched_yield()
    assert lane.run(lambda: 7) == 7
    assert ran == []


def test_letting_go_of_nobody_changes_nothing(lane: Lane) -> None:
    assert lane.run(lambda: 7) == 7
    lane.let_go()
    assert not lane.is_stuck
    assert lane.run(lambda: 7) == 7


def test_whoever_finds_all_threads_busy_for_long_is_told_so(
    lane: Lane, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [Caller(lane, call), Caller(lane, call)]
    while lane._queue.qsize() or not call.begun.is_set() or lane._spare < 0:
        os.sched_yield()
    ran: list[int] = []
    with monkeypatch.context() as patience:
        patience.setattr(lanes, "WAIT_SECONDS", 0.01)
        with pytest.raises(hsm.HSMUnavailableError, match="all sessions of 'token' are busy"):
            lane.run(lambda: ran.append(1))
    call.over.set()
    assert [caller.end() for caller in busy] == ["came back"] * 2
    assert lane.run(lambda: 7) == 7
    assert ran == []


def test_threads_that_have_nothing_to_do_end(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "IDLE_SECONDS", 0.01)
    assert lane.run(lambda: 7) == 7
    while lane._threads:
        os.sched_yield()
    assert lane.run(lambda: 7) == 7


def test_a_forked_child_has_threads_of_its_own(lane: Lane, call: Call) -> None:
    caller = Caller(lane, call)
    call.begun.wait()
    child = os.fork()
    if child == 0:
        os._exit(lane.run(lambda: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    call.over.set()
    assert caller.end() == "came back"
