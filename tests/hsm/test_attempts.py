"""The program that calls a module until it comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from hsm import attempts
from tests.support.chaos import Chaos
from tests.support.processes import descendants, is_alive


@contextmanager
def asking(
    module: Path, env: Mapping[str, str] | None = None, init_args: str | None = None
) -> Iterator[subprocess.Popen[str]]:
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", attempts.__file__],
        stdin=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        text=True,
    )
    assert program.stdin is not None
    program.stdin.write(json.dumps({"module": str(module), "init_args": init_args}) + "\n")
    program.stdin.flush()
    try:
        yield program
    finally:
        program.stdin.close()
        program.wait(timeout=60)


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.005)


def test_a_module_that_answers_has_come_back(chaos: Callable[[], Chaos]) -> None:
    front = chaos()
    front.token("answers")
    with asking(front.module, front.environment) as program:
        assert program.wait(60) == 0


@pytest.mark.parametrize("name", ["C_Initialize", "C_GetSlotList", "C_OpenSession"])
def test_one_that_answers_with_an_error_has_too(chaos: Callable[[], Chaos], name: str) -> None:
    front = chaos()
    front.token("errs")
    front.rules.set(f"{name} 0x30 -1 0")
    with asking(front.module, front.environment) as program:
        assert program.wait(60) == 0


def test_so_has_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    for module in (tmp_path / "nowhere.so", text):
        with asking(module) as program:
            assert program.wait(60) == 0


@pytest.mark.parametrize("name", ["C_Initialize", "C_GetTokenInfo", "C_GenerateRandom"])
def test_a_frozen_one_has_not_until_it_thaws(chaos: Callable[[], Chaos], name: str) -> None:
    front = chaos()
    front.token("frozen")
    front.rules.freeze(name)
    with asking(front.module, front.environment) as program:
        # More than one attempt: those that hang are not all that is tried.
        until(lambda: len(descendants(program.pid)) > 1)
        assert program.poll() is None
        front.rules.clear()
        assert program.wait(60) == 0


def test_an_attempt_that_crashes_has_not_come_back(chaos: Callable[[], Chaos]) -> None:
    front = chaos()
    front.rules.freeze()
    with asking(front.module, front.environment) as program:
        until(lambda: bool(descendants(program.pid)))
        [first, *_] = descendants(program.pid)
        os.kill(first, signal.SIGSEGV)
        until(lambda: first not in descendants(program.pid))
        until(lambda: bool(descendants(program.pid)))
        assert program.poll() is None
        front.rules.clear()
        assert program.wait(60) == 0


def test_it_ends_with_whoever_asked_and_leaves_no_attempt_behind(
    chaos: Callable[[], Chaos],
) -> None:
    front = chaos()
    front.rules.freeze()
    with asking(front.module, front.environment) as program:
        until(lambda: bool(descendants(program.pid)))
        begun = descendants(program.pid)
        assert program.stdin is not None
        program.stdin.close()
        assert program.wait(60) == 1
    until(lambda: not any(is_alive(pid) for pid in begun))
