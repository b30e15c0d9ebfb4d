from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.callers import Caller, Credential, Role
from service.domain.errors import StoreUnavailableError, UnauthenticatedError
from service.domain.tokens import hash_token, is_well_formed, new_token
from service.identity import TokenAuthenticator
from service.identity.tokens import CACHE_ENTRIES, CACHE_SECONDS
from service.ports.identity import Presented
from tests.support.operations import MemoryBook


class HandTurnedClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class World:
    def __init__(self, *, expires_in: float | None = None) -> None:
        self.clock = HandTurnedClock()
        self.book = MemoryBook()
        self.authenticator = TokenAuthenticator(self.book, self.clock)
        self.token, token_hash = new_token()
        now = self.clock.now()
        expires_at = None if expires_in is None else now + timedelta(seconds=expires_in)
        caller = Caller("cred_1", "ci", "Ada", Role.BUILDER)
        self.book.credentials["ci"] = Credential(caller, token_hash, now, expires_at)

    def call(self, token: str | None = None) -> Caller:
        return self.authenticator.authenticate(Presented(token or self.token))

    def revoke(self) -> None:
        self.book.credentials["ci"] = replace(
            self.book.credentials["ci"], revoked_at=self.clock.now()
        )


def test_a_token_is_recognised_by_its_prefix_and_stored_as_its_hash() -> None:
    token, token_hash = new_token()
    assert token.startswith("sw_")
    assert is_well_formed(token)
    assert token_hash == hash_token(token)
    assert token not in token_hash
    assert new_token()[0] != token


@pytest.mark.parametrize("text", ["", "sw_", "sw_" + "a" * 51, "sw_" + "a" * 53, "sw_" + "A" * 52])
def test_what_cannot_be_a_token_costs_no_look_up(text: str) -> None:
    world = World()
    with pytest.raises(UnauthenticatedError):
        world.authenticator.authenticate(Presented(text))
    assert world.book.look_ups == 0


def test_the_holder_of_a_token_is_its_caller() -> None:
    assert World().call().name == "ci"


def test_nobody_is_refused_with_the_same_words_as_a_stranger() -> None:
    world = World()
    texts = set()
    for presented in (Presented(), Presented(new_token()[0]), Presented("x")):
        with pytest.raises(UnauthenticatedError) as refused:
            world.authenticator.authenticate(presented)
        texts.add(str(refused.value))
    world.revoke()
    with pytest.raises(UnauthenticatedError) as refused:
        world.call()
    assert texts == {str(refused.value)}


def test_a_positive_answer_is_remembered_for_two_seconds() -> None:
    world = World()
    for _ in range(3):
        world.call()
    assert world.book.look_ups == 1
    world.clock.seconds = CACHE_SECONDS
    world.call()
    assert world.book.look_ups == 2


def test_a_revoked_token_works_no_longer_than_two_seconds_however_often_it_is_used() -> None:
    world = World()
    world.call()
    world.revoke()
    world.clock.seconds = CACHE_SECONDS * 0.99
    world.call()
    world.clock.seconds = CACHE_SECONDS
    with pytest.raises(UnauthenticatedError):
        world.call()


def test_a_refusal_is_not_remembered() -> None:
    world = World()
    credential = world.book.credentials.pop("ci")
    with pytest.raises(UnauthenticatedError):
        world.call()
    world.book.credentials["ci"] = credential
    assert world.call().name == "ci"


def test_an_expired_token_stops_at_once() -> None:
    world = World(expires_in=1)
    world.call()
    world.clock.seconds = 1.0
    with pytest.raises(UnauthenticatedError):
        world.call()


def test_a_store_that_is_down_is_not_a_refusal_and_forgets_nobody() -> None:
    world = World()
    world.call()
    world.book.down = True
    assert world.call().name == "ci"
    with pytest.raises(StoreUnavailableError):
        world.call(new_token()[0])


def test_what_is_remembered_stays_bounded() -> None:
    world = World()
    for number in range(CACHE_ENTRIES + 10):
        token, token_hash = new_token()
        caller = Caller(str(number), str(number), "Ada", Role.BUILDER)
        world.book.credentials = {"ci": Credential(caller, token_hash, world.clock.now())}
        world.call(token)
    assert len(world.authenticator._seen) == CACHE_ENTRIES
