"""A call that does not come back: who is let go, who keeps away, who ends, and how it is lifted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.domain import errors
from service.domain.keys import Algorithm, KeyVersion, Scheme
from service.keyring import Keyring, Vigilance, diagnose
from service.keyring import guard as guards
from tests.support.faults import Function, counted, replaced
from tests.support.keyrings import Keyrings, must_sign
from tests.support.memory import MemoryQuarantine
from tests.support.softhsm import TokenFixture
from tests.support.versions import to_sign, version_of

P256 = Scheme.ECDSA_P256_SHA256
CALL_SECONDS = 1.5  # calls that do come back may meet a machine that stalls for a second


@dataclass
class Process:
    """A keyring with its vigilance, and whether it would have ended its process."""

    keyring: Keyring
    ended: threading.Event = field(default_factory=threading.Event)

    def sign(self, version: KeyVersion) -> bytes | errors.ServiceError:
        [result] = self.keyring.sign(version, P256, [to_sign(version, P256, b"m")])
        return result


@pytest.fixture
def quarantine() -> MemoryQuarantine:
    return MemoryQuarantine()


@pytest.fixture
def process(
    keyrings: Keyrings, token: TokenFixture, quarantine: MemoryQuarantine
) -> Callable[[], Process]:
    """Makes keyrings as the processes of one installation have them."""

    def make() -> Process:
        ended = threading.Event()
        vigilance = Vigilance(quarantine, keyrings.leases, "here", ended.set)
        made = keyrings([token.config], vigilance=vigilance, call_seconds=CALL_SECONDS)
        return Process(made, ended)

    return make


@pytest.fixture
def version(keyrings: Keyrings, token: TokenFixture) -> KeyVersion:
    maker = keyrings([token.config])
    return version_of(maker.generate("release", Algorithm.EC_P256, None), Algorithm.EC_P256)


@dataclass
class Freeze:
    """Holds calls until it is over."""

    inside: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)

    def make(self, function: Function) -> Function:
        def call(*arguments: int) -> int:
            self.inside.release()
            self.over.wait()
            return function(*arguments)

        return call


@contextmanager
def frozen(token: TokenFixture, name: str = "C_Sign") -> Iterator[Freeze]:
    freeze = Freeze()
    with replaced(token.module, name, freeze.make):
        try:
            yield freeze
        finally:
            freeze.over.set()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.005)


def module_of(token: TokenFixture) -> str:
    return os.path.realpath(token.module)


def is_free(process: Process) -> bool:
    return not any(pool.is_stuck for pool in process.keyring.pools)


def test_everybody_who_waits_is_let_go_with_a_refusal_that_may_be_tried_again(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
    keyrings: Keyrings,
) -> None:
    mine = process()
    assert isinstance(mine.sign(version), bytes)
    said: list[bytes | errors.ServiceError] = []
    # Also those of a large batch, and those for whom there is no thread left.
    items = [to_sign(version, P256, b"m")] * 40

    def sign_batch() -> None:
        said.extend(mine.keyring.sign(version, P256, items))

    with frozen(token) as freeze:
        callers = [
            threading.Thread(target=lambda: said.append(mine.sign(version))) for _ in range(11)
        ]
        callers.append(threading.Thread(target=sign_batch))
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert len(said) == 51
        for each in said:
            assert isinstance(each, errors.HSMQuarantinedError), each
            assert each.retryable
            assert each.retry_after == 1.0
        assert quarantine.modules == {module_of(token)}
        assert mine.ended.wait(60)
        assert keyrings.meter.figures["sealwright_hsm_watchdog_ends_total", "libsofthsm2.so"] == 1
        freeze.over.set()
        until(lambda: is_free(mine))


def test_other_processes_neither_load_nor_call_the_module_and_are_not_ended(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
) -> None:
    other = process()
    assert isinstance(other.sign(version), bytes)
    quarantine.put(module_of(token))
    until(lambda: not isinstance(other.sign(version), bytes))
    names = ("C_SignInit", "C_GetTokenInfo", "C_OpenSession", "C_Login", "C_GenerateKeyPair")
    with ExitStack() as stack:
        calls = [stack.enter_context(counted(token.module, name)) for name in names]
        assert isinstance(other.sign(version), errors.HSMQuarantinedError)
        with pytest.raises(errors.HSMQuarantinedError):
            other.keyring.generate("release", Algorithm.EC_P256, None)
        with pytest.raises(errors.HSMQuarantinedError):
            must_sign(other.keyring)
        [status] = [s for s in other.keyring.status() if s.token == token.label]
        assert status.state == "quarantined"
    assert calls == [[]] * len(names)
    assert not other.ended.is_set()
    quarantine.lift(module_of(token))
    until(lambda: isinstance(other.sign(version), bytes))


def test_a_probe_lifts_the_quarantine_when_the_module_comes_back(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
) -> None:
    # The probe is another process, in which nothing is frozen.
    other = process()
    quarantine.put(module_of(token))
    assert isinstance(other.sign(version), errors.HSMQuarantinedError)
    other.keyring.start()
    until(lambda: not quarantine.modules)
    until(lambda: isinstance(other.sign(version), bytes))


def test_a_quarantine_from_before_the_start_of_a_process_is_looked_after(
    process: Callable[[], Process], token: TokenFixture, quarantine: MemoryQuarantine
) -> None:
    quarantine.put("/another/module.so")
    quarantine.put(module_of(token))
    process().keyring.start()
    until(lambda: module_of(token) not in quarantine.modules)
    # It is none of this installation's settings, so somebody else knows how to ask it.
    assert quarantine.modules == {"/another/module.so"}


def test_one_process_ends_at_a_time_and_the_rest_when_the_hsm_is_back(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
) -> None:
    two = [process(), process()]
    assert all(isinstance(each.sign(version), bytes) for each in two)
    with frozen(token) as freeze:
        callers = [threading.Thread(target=each.sign, args=(version,)) for each in two]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        until(lambda: any(each.ended.is_set() for each in two))
        [waiting] = [each for each in two if not each.ended.is_set()]
        # It can serve everything else meanwhile, and says so to whoever wants to sign.
        assert isinstance(waiting.sign(version), errors.HSMQuarantinedError)
        assert not waiting.ended.is_set()
        quarantine.lift(module_of(token))
        assert waiting.ended.wait(60)
        freeze.over.set()
        until(lambda: all(is_free(each) for each in two))


def test_a_process_whose_calls_come_back_before_its_turn_goes_on(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
    keyrings: Keyrings,
) -> None:
    assert keyrings.leases.acquire("hsm-end:here", owner="another process", seconds=1000)
    mine = process()
    assert isinstance(mine.sign(version), bytes)
    with frozen(token) as freeze:
        assert isinstance(mine.sign(version), errors.HSMQuarantinedError)
        freeze.over.set()
        until(lambda: is_free(mine))
    quarantine.lift(module_of(token))
    until(lambda: isinstance(mine.sign(version), bytes))
    assert not mine.ended.is_set()
    assert quarantine.put_times == 1


@pytest.mark.parametrize("name", ["C_SignInit", "C_OpenSession", "C_Login", "C_GetTokenInfo"])
def test_it_does_not_matter_which_call_is_stuck(
    process: Callable[[], Process], version: KeyVersion, token: TokenFixture, name: str
) -> None:
    mine = process()
    with frozen(token, name):
        assert isinstance(mine.sign(version), errors.HSMQuarantinedError)
        assert mine.ended.wait(60)


def test_a_store_that_is_away_keeps_nobody_waiting(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
) -> None:
    mine = process()
    assert isinstance(mine.sign(version), bytes)
    with frozen(token):
        quarantine.fault = errors.StoreUnavailableError()
        assert isinstance(mine.sign(version), errors.HSMQuarantinedError)
        assert mine.ended.wait(60)


def test_a_store_that_does_not_answer_keeps_nobody_waiting_either(
    process: Callable[[], Process],
    version: KeyVersion,
    token: TokenFixture,
    quarantine: MemoryQuarantine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guards, "PUT_SECONDS", 0.01)
    mine = process()
    assert isinstance(mine.sign(version), bytes)
    answers = threading.Event()
    put = quarantine.put

    def put_late(module: str) -> None:
        answers.wait()
        put(module)

    monkeypatch.setattr(quarantine, "put", put_late)
    with frozen(token):
        assert isinstance(mine.sign(version), errors.HSMQuarantinedError)
        assert mine.ended.wait(60)
        answers.set()


def test_doctor_tells_of_a_frozen_module_instead_of_freezing(
    keyrings: Keyrings, token: TokenFixture, quarantine: MemoryQuarantine
) -> None:
    keyring = keyrings([token.config], call_seconds=CALL_SECONDS)
    with frozen(token, "C_GetTokenInfo"):
        *_, last = diagnose(keyring)
        assert last.what.startswith("PKCS#11 module")
        assert last.problem is not None
        assert "does not come back" in last.problem
        assert "SEALWRIGHT_HSM_CALL_SECONDS" in last.cure
    assert not quarantine.modules


def test_the_installation_of_a_module_that_is_not_there_can_be_guarded(
    keyrings: Keyrings, token: TokenFixture, quarantine: MemoryQuarantine, tmp_path: Path
) -> None:
    vigilance = Vigilance(quarantine, keyrings.leases, "here", lambda: None)
    nowhere = type(token.config)(tmp_path / "no.so", "t", None, token.pin_file)
    keyring = keyrings([nowhere], vigilance=vigilance, call_seconds=CALL_SECONDS)
    with pytest.raises(errors.HSMUnavailableError):
        must_sign(keyring)
    keyring.start()
    quarantine.put(str(tmp_path / "no.so"))
    # A module that cannot be loaded does not hang: the ladder of recovery tells what is wrong.
    until(lambda: not quarantine.modules)
