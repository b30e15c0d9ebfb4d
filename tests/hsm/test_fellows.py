"""A token that is not there must not cost the others of its module their sessions."""

from __future__ import annotations

from dataclasses import replace

import pytest

import hsm
from hsm import module as modules
from hsm.fellows import LOOK_ANEW_SECONDS
from service.domain.clock import SystemClock
from service.keyring.gate import StoreGate
from tests.support.faults import counted, failing
from tests.support.memory import MemoryLeases, MemoryPINLatch
from tests.support.pools import ECKey, new_pool
from tests.support.softhsm import TokenFixture


class Hand:
    """A clock that is turned by the test."""

    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def absent(token: TokenFixture, hand: Hand) -> hsm.TokenPool:
    gate = StoreGate(MemoryPINLatch(), MemoryLeases(), SystemClock(), b"secret")
    address = hsm.TokenAddress(token.module, "never made", None, token.pin_file)
    return hsm.TokenPool(address, gate, sessions=2, monotonic=hand)


def reinitialisations(pool: hsm.TokenPool, token: TokenFixture, *, attempts: int) -> int:
    with counted(token.module, "C_Finalize") as finalised:
        for _ in range(attempts):
            pool.retry_now()
            with pytest.raises(hsm.TokenAbsentError):
                hsm.probe(pool)
    return len(finalised)


def test_an_absent_token_disturbs_one_that_works_only_now_and_then(
    absent: hsm.TokenPool, token: TokenFixture, key: ECKey, hand: Hand
) -> None:
    fellow = new_pool(token)

    def looks(attempts: int) -> int:
        assert isinstance(key.sign(fellow)[0], bytes)  # logs in again, where it has to
        return reinitialisations(absent, token, attempts=attempts)

    # It may have been made a moment ago, and then shows only after this. The first costs the
    # other its login, so that the second finds nobody who answers.
    assert looks(1) == 2
    assert looks(3) == 0
    hand.seconds += LOOK_ANEW_SECONDS
    assert looks(1) == 2
    assert looks(3) == 0


def test_an_absent_token_is_looked_for_again_and_again_where_nothing_else_works(
    absent: hsm.TokenPool, token: TokenFixture
) -> None:
    # Whatever pools there are in this process, they have no login now.
    module = modules.load(token.module)
    module.reinit(module.epoch)
    assert reinitialisations(absent, token, attempts=3) == 6


def test_a_fellow_whose_login_is_lost_proves_nothing(
    absent: hsm.TokenPool, token: TokenFixture, key: ECKey
) -> None:
    fellow = new_pool(token)
    assert isinstance(key.sign(fellow)[0], bytes)
    assert reinitialisations(absent, token, attempts=1) == 2
    assert isinstance(key.sign(fellow)[0], bytes)
    with failing(token.module, "C_CreateObject", 0x101, times=1000):
        assert reinitialisations(absent, token, attempts=1) > 0


def test_a_connection_that_breaks_is_mended_whoever_else_works(
    token: TokenFixture, key: ECKey
) -> None:
    fellow, broken = new_pool(token), new_pool(replace(token))
    assert isinstance(key.sign(fellow)[0], bytes)
    with (
        counted(token.module, "C_Finalize") as finalised,
        failing(token.module, "C_SignInit", 0x30, times=3),
    ):
        assert isinstance(key.sign(broken)[0], bytes)
    assert finalised
