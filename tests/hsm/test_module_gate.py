"""Re-initialising a module under threads, and what becomes of it after a fork."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable

import pkcs11
import pytest

import hsm
from hsm import cryptoki
from hsm import module as modules
from tests.support.faults import counted, failing
from tests.support.pools import ECKey
from tests.support.softhsm import SoftHSM, TokenFixture


@pytest.fixture
def module(token: TokenFixture) -> modules.Module:
    return modules.load(token.module)


def test_a_module_is_loaded_once_for_all_names_of_its_file(
    module: modules.Module, token: TokenFixture, tmp_path: os.PathLike[str]
) -> None:
    name = os.path.join(tmp_path, "another-name.so")  # noqa: PTH118
    os.symlink(token.module, name)  # noqa: PTH211
    assert modules.load(type(token.module)(name)) is module


def test_reinit_waits_until_nobody_is_inside(module: modules.Module, token: TokenFixture) -> None:
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with module.use():
            inside.set()
            leave.wait()

    user = threading.Thread(target=stay)
    user.start()
    inside.wait()
    with counted(token.module, "C_Finalize") as finalized:
        again = threading.Thread(target=module.reinit, args=(module.epoch,))
        again.start()
        while not module._closed:
            os.sched_yield()
        assert not finalized
        leave.set()
        again.join()
        assert len(finalized) == 1
    user.join()


def test_reinit_gives_up_on_a_call_that_does_not_come_back_and_leaves_the_gate_open(
    module: modules.Module, token: TokenFixture
) -> None:
    before = module.epoch
    with module.use(), counted(token.module, "C_Finalize") as finalized:
        caught: list[Exception] = []

        def again() -> None:
            try:
                module.reinit(before, drain_seconds=0.01)
            except hsm.CallStuckError as error:
                caught.append(error)

        thread = threading.Thread(target=again)
        thread.start()
        thread.join()
        assert len(caught) == 1
        assert not finalized
    assert module.epoch == before
    with module.use() as epoch:
        assert epoch == before


def test_threads_that_saw_the_same_fault_initialise_once(
    module: modules.Module, token: TokenFixture
) -> None:
    seen = module.epoch
    with counted(token.module, "C_Finalize") as finalized:
        threads = [threading.Thread(target=module.reinit, args=(seen,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(finalized) == 1
    assert module.epoch == seen + 1


def test_calls_go_through_python_pkcs11s_own_function_list(
    module: modules.Module, token: TokenFixture
) -> None:
    listing = ctypes.c_void_p()
    assert ctypes.CDLL(str(token.module)).C_GetFunctionList(ctypes.byref(listing)) == 0
    ours = module._library.cryptoki._functions
    assert listing.value is not None
    # CK_VERSION stands before the functions, padded to a pointer.
    assert ctypes.addressof(ours) == listing.value + ctypes.sizeof(ctypes.c_void_p)


def test_a_python_pkcs11_that_keeps_its_lists_elsewhere_is_refused(
    module: modules.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cryptoki, "_LIST_OWNER_BYTES", 48)
    with pytest.raises(pkcs11.PKCS11Error, match="keeps its lists elsewhere"):
        cryptoki.Cryptoki(module._library)


def test_a_module_that_does_not_initialise_is_tried_again_later(
    make_pool: Callable[[], hsm.TokenPool], key: ECKey, token: TokenFixture
) -> None:
    pool = make_pool()
    assert all(isinstance(result, bytes) for result in key.sign(pool))
    with (
        failing(token.module, "C_SignInit", 0x30, times=1000),
        failing(token.module, "C_Initialize", 0x05, times=1000),
    ):
        [result] = key.sign(pool)
        assert isinstance(result, hsm.HSMUnavailableError)
    pool.retry_now()
    assert all(isinstance(result, bytes) for result in key.sign(pool))


FORKING = """
import contextlib, os, sys
from pathlib import Path
import hsm

module, pin_file, used_before = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "used"

class Gate:
    def is_latched(self, *_): return False
    def latch(self, *_): raise AssertionError("the PIN is right")
    @contextlib.contextmanager
    def turn(self, *_): yield

pool = hsm.TokenPool(hsm.TokenAddress(module, "fork", None, pin_file), Gate(), sessions=2)
if used_before:
    hsm.probe(pool)
child = os.fork()
if child == 0:
    try:
        hsm.probe(pool)
    except hsm.ModuleInheritedError:
        os._exit(3)
    os._exit(4)
_, status = os.waitpid(child, 0)
hsm.probe(pool)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(("before", "code"), [("used", 3), ("unused", 4)])
def test_a_forked_child_is_refused_the_module_of_its_parent_and_may_load_its_own(
    new_softhsm: Callable[[], SoftHSM], before: str, code: int
) -> None:
    softhsm = new_softhsm()
    token = softhsm.token("fork")
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(token.module), str(token.pin_file), before],
        env=softhsm.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(code)
