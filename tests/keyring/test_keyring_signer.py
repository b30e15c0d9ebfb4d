"""Batches, failures and failover, as the signing cycle sees them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import hsm
from hsm import module as modules
from service.domain import errors
from service.domain.clock import SystemClock
from service.domain.keys import Algorithm, KeyVersion, Location, Scheme
from service.domain.public_keys import public_key
from service.keyring import Keyring, TokenConfig
from service.keyring.runtime import BATCH_THREADS
from service.keyring.translate import service_error
from service.ports.hsm import ToSign
from tests.support.faults import Function, counted, failing, replaced
from tests.support.keyrings import Keyrings
from tests.support.memory import MemoryPINLatch
from tests.support.softhsm import TokenFixture
from tests.support.versions import to_sign, version_of

P256 = Scheme.ECDSA_P256_SHA256


@pytest.fixture
def version(keyring: Keyring) -> KeyVersion:
    return version_of(keyring.generate("release", Algorithm.EC_P256, None), Algorithm.EC_P256)


def batch(version: KeyVersion, count: int) -> list[ToSign]:
    return [to_sign(version, P256, f"message {n}".encode()) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, 8, 9, 17, 200, 1000])
def test_a_batch_keeps_its_order_whatever_its_size(
    keyring: Keyring, version: KeyVersion, count: int
) -> None:
    signatures = keyring.sign(version, P256, batch(version, count))
    assert len(signatures) == count
    pinned = public_key(version.public_key)
    for n, signature in enumerate(signatures):
        assert isinstance(signature, bytes)
        pinned.verify(P256, f"message {n}".encode(), signature)


def test_one_signature_costs_one_signing_call_and_no_search(
    keyring: Keyring, version: KeyVersion, token: TokenFixture
) -> None:
    keyring.sign(version, P256, batch(version, 1))
    with (
        counted(token.module, "C_SignInit") as signed,
        counted(token.module, "C_FindObjectsInit") as searched,
        counted(token.module, "C_GetAttributeValue") as read,
        counted(token.module, "C_OpenSession") as opened,
        counted(token.module, "C_Login") as logged_in,
    ):
        # One after the other: a run of several may be spread over sessions that are opened for it.
        for item in batch(version, 5):
            keyring.sign(version, P256, [item])
    assert len(signed) == 5
    assert [searched, read, opened, logged_in] == [[], [], [], []]


@dataclass
class HandClock(SystemClock):
    """Stands still but for what a token is said to take."""

    ahead: float = 0.0

    def monotonic(self) -> float:
        return self.ahead


@dataclass
class Callers:
    """Stands before C_SignInit: who calls it, how long it takes, and who has to be there at once."""

    clock: HandClock
    seconds: float
    together: threading.Barrier | None = None
    threads: list[int] = field(default_factory=list)

    def __call__(self, function: Function) -> Function:
        def call(*arguments: int) -> int:
            self.threads.append(threading.get_ident())
            self.clock.ahead += self.seconds
            if self.together is not None:
                self.together.wait(timeout=60)
            return function(*arguments)

        return call


def test_a_slow_token_is_asked_for_a_few_signatures_at_once_and_a_fast_one_is_not(
    keyrings: Keyrings, version: KeyVersion, token: TokenFixture
) -> None:
    clock = HandClock()
    keyring = keyrings([token.config], clock=clock)
    few = batch(version, BATCH_THREADS)
    fast = Callers(clock, seconds=0.001)
    with replaced(token.module, "C_SignInit", fast):
        keyring.sign(version, P256, few)
        keyring.sign(version, P256, few)
    assert (len(fast.threads), len(set(fast.threads))) == (2 * BATCH_THREADS, 1)
    slow = Callers(clock, seconds=0.02)
    with replaced(token.module, "C_SignInit", slow):
        keyring.sign(version, P256, few)
        assert (len(slow.threads), len(set(slow.threads))) == (BATCH_THREADS, 1)
        slow.together = threading.Barrier(BATCH_THREADS)
        signatures = keyring.sign(version, P256, few)
    assert len(set(slow.threads[BATCH_THREADS:])) == BATCH_THREADS
    pinned = public_key(version.public_key)
    for n, signature in enumerate(signatures):
        assert isinstance(signature, bytes)
        pinned.verify(P256, f"message {n}".encode(), signature)


def test_one_bad_item_fails_alone(keyring: Keyring, version: KeyVersion) -> None:
    items = batch(version, 40)
    # Its check is for another message, so no signature can pass it.
    items[17] = ToSign(items[17].message, items[3].check)
    signatures = keyring.sign(version, P256, items)
    assert isinstance(signatures[17], errors.SignatureCheckFailedError)
    assert all(isinstance(s, bytes) for n, s in enumerate(signatures) if n != 17)


def test_a_scheme_of_another_kind_of_key_is_refused(keyring: Keyring, version: KeyVersion) -> None:
    [result] = keyring.sign(version, Scheme.ED25519, batch(version, 1))
    assert isinstance(result, errors.UnsupportedAlgorithmError)


def test_a_key_that_the_token_lost_is_missing(keyring: Keyring, version: KeyVersion) -> None:
    unknown = replace(version, cka_id=b"no such key")
    [result] = keyring.sign(unknown, P256, batch(version, 1))
    assert isinstance(result, errors.KeyMissingOnTokenError)


def test_a_token_that_is_away_is_unavailable_and_not_a_missing_key(
    keyring: Keyring, version: KeyVersion, token: TokenFixture
) -> None:
    keyring.sign(version, P256, batch(version, 1))
    with failing(token.module, "C_SignInit", 0x30, times=10_000):
        results = keyring.sign(version, P256, batch(version, 30))
    assert {type(result) for result in results} == {errors.HSMUnavailableError}
    [first, *_] = results
    assert isinstance(first, errors.HSMUnavailableError)
    assert first.retry_after is not None


REFUSALS = {
    "ARGUMENTS_BAD": 0x07,
    "DATA_LEN_RANGE": 0x21,
    "FUNCTION_NOT_SUPPORTED": 0x54,
    "KEY_SIZE_RANGE": 0x62,
    "KEY_TYPE_INCONSISTENT": 0x63,
    "KEY_FUNCTION_NOT_PERMITTED": 0x68,
    "MECHANISM_INVALID": 0x70,
    "MECHANISM_PARAM_INVALID": 0x71,
}


@pytest.mark.parametrize("code", REFUSALS.values(), ids=REFUSALS)
def test_what_a_token_refuses_to_a_key_of_ours_is_its_own_fault_and_asked_again(
    keyring: Keyring, version: KeyVersion, token: TokenFixture, code: int
) -> None:
    keyring.sign(version, P256, batch(version, 1))
    with failing(token.module, "C_SignInit", code, times=2) as calls:
        [result] = keyring.sign(version, P256, batch(version, 1))
    assert isinstance(result, bytes)
    assert len(calls) == 3
    with failing(token.module, "C_SignInit", code, times=1000):
        [result] = keyring.sign(version, P256, batch(version, 1))
    assert isinstance(result, errors.HSMRefusedError | errors.HSMUnavailableError)
    assert result.retryable


def test_a_refusal_does_not_make_others_wait(
    keyring: Keyring, version: KeyVersion, token: TokenFixture
) -> None:
    with failing(token.module, "C_SignInit", 0x70, times=3):
        [refused] = keyring.sign(version, P256, batch(version, 1))
        [control] = keyring.sign(version, P256, batch(version, 1))
    assert isinstance(refused, errors.HSMRefusedError)
    assert isinstance(control, bytes)


def test_a_key_on_no_configured_token_is_unavailable(keyring: Keyring, version: KeyVersion) -> None:
    elsewhere = replace(version, locations=(Location("another", "1"),))
    [result] = keyring.sign(elsewhere, P256, batch(version, 1))
    assert isinstance(result, errors.HSMUnavailableError)


def test_signing_goes_to_the_next_location_when_the_first_cannot(
    keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture
) -> None:
    keyring = keyrings([token.config, other_token.config])
    made = keyring.generate("release", Algorithm.EC_P256, token.label)
    first = Location(other_token.label, other_token.serial)  # answers, but has no such key
    version = version_of(made, Algorithm.EC_P256, locations=[first, made.location])
    assert all(isinstance(s, bytes) for s in keyring.sign(version, P256, batch(version, 20)))
    only_first = replace(version, locations=(first,))
    [control] = keyring.sign(only_first, P256, batch(version, 1))
    assert isinstance(control, errors.KeyMissingOnTokenError)


def test_what_tokens_do_and_what_mends_them_is_counted(
    keyrings: Keyrings, keyring: Keyring, token: TokenFixture, other_token: TokenFixture
) -> None:
    both = keyrings([other_token.config, token.config])
    label, other = token.label, other_token.label
    made = both.generate("release", Algorithm.EC_P256, label)
    nowhere = Location(other, other_token.serial)
    version = version_of(made, Algorithm.EC_P256, locations=[nowhere, made.location])
    figures = keyrings.meter.figures
    assert figures["sealwright_hsm_relogins_total", label] == 0
    assert ("sealwright_hsm_relogins_total", label) in figures
    both.sign(version, P256, batch(version, 20))
    assert figures["sealwright_hsm_signatures_total", label, "made"] == 20
    assert figures["sealwright_hsm_signatures_total", other, "key-missing-on-token"] == 20
    assert figures["sealwright_hsm_failovers_total", other] == 1
    assert figures["sealwright_hsm_failovers_total", label] == 0
    only = replace(version, locations=(made.location,))
    with failing(token.module, "C_SignInit", 0x101):
        both.sign(only, P256, batch(version, 1))
    # More than was injected may go wrong on a busy machine; less would be a counter that lies.
    relogins = figures["sealwright_hsm_relogins_total", label]
    assert relogins >= 1
    before = figures["sealwright_hsm_reinitialisations_total", label]
    with failing(token.module, "C_SignInit", 0x30, times=3):
        both.sign(only, P256, batch(version, 1))
    assert figures["sealwright_hsm_reinitialisations_total", label] > before
    assert figures["sealwright_hsm_relogins_total", label] > relogins


class CountingLatch(MemoryPINLatch):
    """Counts how often somebody wants to log in."""

    asked = 0

    def is_latched(self, token: str, fingerprint: str) -> bool:
        self.asked += 1
        return super().is_latched(token, fingerprint)


def test_a_token_that_refused_its_pin_is_skipped_and_taken_again_when_the_file_is_mended(
    token: TokenFixture, tmp_path: Path
) -> None:
    module = modules.load(token.module)
    module.reinit(module.epoch)  # nobody is logged in
    wrong = tmp_path / "pin"
    wrong.write_text("wrong-4711")
    latch = CountingLatch()
    keyrings = Keyrings(latch=latch)
    clones = [
        replace(token.config, pin_file=wrong, name="first"),
        replace(token.config, name="second"),
    ]
    with keyrings.closing:
        keyring = keyrings(clones)
        first, _ = keyring.pools
        made = keyring.generate("k", Algorithm.EC_P256, "second")
        version = version_of(made, Algorithm.EC_P256)
        module.reinit(module.epoch)
        assert isinstance(keyring.sign(version, P256, batch(version, 1))[0], bytes)
        assert first.is_sick
        asked = latch.asked
        for _ in range(100):
            assert isinstance(keyring.sign(version, P256, batch(version, 1))[0], bytes)
        # Somebody looks now and then, and nobody who signs.
        assert latch.asked - asked < 100
        wrong.write_text(token.pin_file.read_text())
        deadline = time.monotonic() + 60
        while first.is_sick:
            assert time.monotonic() < deadline
            assert isinstance(keyring.sign(version, P256, batch(version, 1))[0], bytes)


def test_could_not_check_outranks_missing_among_locations(
    keyrings: Keyrings, token: TokenFixture, other_token: TokenFixture
) -> None:
    absent = TokenConfig(token.module, "never made", None, token.pin_file)
    keyring = keyrings([absent, other_token.config, token.config])
    made = keyring.generate("release", Algorithm.EC_P256, token.label)
    places = [Location("never made", "1"), Location(other_token.label, other_token.serial)]
    for locations in (places, places[::-1]):
        version = version_of(made, Algorithm.EC_P256, locations=locations)
        [result] = keyring.sign(version, P256, batch(version, 1))
        assert isinstance(result, errors.HSMUnavailableError)


def test_every_error_of_the_hsm_has_a_word_in_the_domain() -> None:
    def every(base: type[hsm.HSMError]) -> list[type[hsm.HSMError]]:
        return [k for kind in base.__subclasses__() for k in (kind, *every(kind))]

    kinds = every(hsm.HSMError)
    assert len(kinds) == 17
    for kind in kinds:
        error = kind("said")
        translated = service_error(error)
        assert str(translated) == "said"
        assert translated.__cause__ is error
    assert len({kind.code for kind in kinds}) == len(kinds)
