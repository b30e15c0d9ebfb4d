"""A refused PIN is tried once, by one thread of one process, and never shown."""

from __future__ import annotations

import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import hsm
from hsm import module as modules
from service.domain import errors
from service.domain.keys import Algorithm
from service.keyring import Keyring, diagnose
from tests.support.faults import counted, failing
from tests.support.keyrings import Keyrings, must_sign
from tests.support.softhsm import SoftHSM, TokenFixture

WRONG = "wrong-pin-4711"
WORKER = Path(__file__).with_name("login_worker.py")


@pytest.fixture
def locked(token: TokenFixture, tmp_path: Path) -> TokenFixture:
    """The token with a wrong PIN in its file, and nobody logged in to it in this process."""
    module = modules.load(token.module)
    module.reinit(module.epoch)
    pin_file = tmp_path / "pin"
    pin_file.write_text(WRONG)
    pin_file.chmod(0o600)
    return replace(token, pin_file=pin_file)


def test_a_wrong_pin_is_tried_once_by_all_threads_of_all_keyrings(
    keyrings: Keyrings, locked: TokenFixture
) -> None:
    several = [keyrings([locked.config]) for _ in range(3)]
    caught: list[Exception] = []

    def check(keyring: Keyring) -> None:
        try:
            must_sign(keyring)
        except errors.ServiceError as error:
            caught.append(error)

    with counted(locked.module, "C_Login") as logins:
        threads = [threading.Thread(target=check, args=(k,)) for k in several for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(logins) == 1
    assert [type(error) for error in caught] == [errors.PINRefusedError] * len(threads)
    assert len(keyrings.latch.rows) == 1


def test_another_pin_in_the_file_gets_a_try_of_its_own(
    keyrings: Keyrings, locked: TokenFixture, token: TokenFixture
) -> None:
    keyring = keyrings([locked.config])
    with counted(locked.module, "C_Login") as logins:
        for pin in (WRONG, "wrong-too-4711", WRONG, "wrong-too-4711\n"):
            locked.pin_file.write_text(pin)
            with pytest.raises(errors.PINRefusedError):
                must_sign(keyring)
        assert len(logins) == 2
        locked.pin_file.write_text(token.pin_file.read_text())
        must_sign(keyring)
        assert len(logins) == 3


def test_after_the_latch_was_cleared_the_pin_is_tried_exactly_once_more(
    keyrings: Keyrings, locked: TokenFixture
) -> None:
    keyring = keyrings([locked.config])
    with pytest.raises(errors.PINRefusedError):
        must_sign(keyring)
    with counted(locked.module, "C_Login") as logins:
        with pytest.raises(errors.PINRefusedError):
            keyring.login_once(locked.label)
        assert not logins
        assert keyrings.latch.clear(locked.label, actor="custodian")
        with pytest.raises(errors.PINRefusedError):
            keyring.login_once(locked.label)
        with pytest.raises(errors.PINRefusedError):
            must_sign(keyring)
        [status] = [s for s in keyring.status() if s.token == locked.label]
        assert status.state == "pin-refused"
        assert len(logins) == 1


def test_a_token_that_locked_itself_is_not_asked_again_even_with_the_right_pin(
    keyrings: Keyrings, locked: TokenFixture, token: TokenFixture
) -> None:
    locked.pin_file.write_text(token.pin_file.read_text())
    keyring = keyrings([locked.config])
    with failing(locked.module, "C_Login", 0xA4, times=1) as logins:
        for _ in range(3):
            with pytest.raises(errors.PINRefusedError):
                must_sign(keyring)
        assert len(logins) == 1
        keyrings.latch.clear(locked.label, actor="custodian")
        assert keyring.login_once(locked.label).state == "ready"
        assert len(logins) == 2


def test_a_login_that_fails_for_another_reason_latches_nothing(
    keyrings: Keyrings, locked: TokenFixture, token: TokenFixture
) -> None:
    locked.pin_file.write_text(token.pin_file.read_text())
    keyring = keyrings([locked.config])
    with (
        failing(locked.module, "C_Login", 0x30, times=1000),
        pytest.raises(errors.HSMUnavailableError),
    ):
        must_sign(keyring)
    assert not keyrings.latch.rows
    assert keyring.login_once(locked.label).state == "ready"


def test_a_wrong_pin_is_tried_once_by_several_processes(
    new_softhsm: Callable[[], SoftHSM], postgres_store_url: str, tmp_path: Path
) -> None:
    softhsm = new_softhsm()
    token = softhsm.token("processes")
    wrong = tmp_path / "wrong-pin"
    wrong.write_text(WRONG)

    def logins_of(pin_file: Path, log: Path) -> tuple[list[str], list[str]]:
        command = [sys.executable, str(WORKER), str(token.module), token.label]
        command += [str(pin_file), postgres_store_url, str(log)]
        workers = [
            subprocess.Popen(command, env=softhsm.environment, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        said = [worker.communicate(timeout=240)[0].strip() for worker in workers]
        return log.read_text().split(), said

    assert logins_of(wrong, tmp_path / "a") == (["wrong"], ["pin-refused"] * 4)
    tries, said = logins_of(token.pin_file, tmp_path / "b")
    assert set(tries) == {"right"}
    assert len(tries) >= 4
    assert said == ["ready"] * 4


def test_the_pin_stands_in_no_repr_and_no_error(
    keyrings: Keyrings, locked: TokenFixture, caplog: pytest.LogCaptureFixture
) -> None:
    keyring = keyrings([locked.config])
    said = [repr(hsm.PIN.read(locked.pin_file)), str(hsm.PIN.read(locked.pin_file))]
    with pytest.raises(errors.PINRefusedError) as caught:
        keyring.generate("release", Algorithm.EC_P256, None)
    said += traceback.format_exception(caught.value)
    [pool] = keyring.pools
    said += [
        repr(keyring),
        repr(pool),
        repr(vars(pool)),
        repr(pool.address),
        repr(keyring.status()),
    ]
    said += [repr(keyring._gate), repr(keyrings.latch.rows), caplog.text, repr(diagnose(keyring))]
    assert not [text for text in said if WRONG in text or "a secret of its own" in text]
    assert hsm.PIN.read(locked.pin_file).reveal() == WRONG


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="blank"),
        pytest.param(b"one-4711\ntwo-4711\n", id="two-lines"),
        pytest.param(b"\xff\xfe4711", id="not-text"),
        pytest.param(b"4711" * 100, id="too-long"),
    ],
)
def test_what_is_no_pin_is_never_given_to_the_token(
    keyrings: Keyrings, locked: TokenFixture, content: bytes
) -> None:
    locked.pin_file.write_bytes(content)
    with (
        counted(locked.module, "C_Login") as logins,
        pytest.raises(errors.HSMUnavailableError) as caught,
    ):
        must_sign(keyrings([locked.config]))
    assert not logins
    assert "4711" not in "".join(traceback.format_exception(caught.value))
