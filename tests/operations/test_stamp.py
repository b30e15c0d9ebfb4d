"""Step 10, the stamps: who is asked, what is kept, and what stays here without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.bootstrap.formats import signature_formats
from service.domain.clock import SystemClock
from service.domain.errors import LogUnavailableError, TimestampUnavailableError
from service.domain.signing import Signature, Timestamp
from service.operations.stamp import StampSignatures
from service.store import Store
from tests.support.authorities import UnsafeAuthority
from tests.support.records import a_statement, an_intent, make_key, sign

FORMATS = signature_formats()


@pytest.fixture
def signatures(store: Store) -> list[Signature]:
    make_key(store)
    intents = [an_intent(a_statement(n), item=n) for n in range(3)]
    return [done.signature for done in sign(store, *intents) if done.signature]


def stamping(
    store: Store,
    *authorities: UnsafeAuthority,
    keys: frozenset[str] | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
) -> StampSignatures:
    return StampSignatures(
        authorities,
        keys=keys,
        is_wanted=is_wanted,
        formats=FORMATS,
        book=store.timestamps,
        clock=SystemClock(),
    )


def test_each_signature_is_stamped_over_its_own_bytes_and_is_on_record_with_it(
    store: Store, signatures: list[Signature]
) -> None:
    authority = UnsafeAuthority()
    done = stamping(store, authority)(signatures)
    assert authority.asked == [one.signature for one in signatures]
    for one in done:
        assert isinstance(one, Signature)
        assert store.journal.get(one.id) == one
        assert one.timestamp is not None
        assert (one.timestamp.authority, one.timestamp.at) == ("test", authority.at)


def test_a_signature_keeps_the_first_stamp_for_good(
    store: Store, signatures: list[Signature]
) -> None:
    first, second = UnsafeAuthority("first"), UnsafeAuthority("second")
    done = stamping(store, first)(signatures)
    # One who has read the signature before it was stamped, and stamps it a second time.
    assert stamping(store, second)(signatures) == done
    assert stamping(store, second)(done) == done
    assert len(second.asked) == len(signatures)


def test_who_is_away_is_passed_over(store: Store, signatures: list[Signature]) -> None:
    away, there = UnsafeAuthority("away", is_away=True), UnsafeAuthority("there")
    done = stamping(store, away, there)(signatures)
    assert [s.timestamp and s.timestamp.authority for s in done if isinstance(s, Signature)] == [
        "there"
    ] * 3
    assert len(away.asked) == 3


def test_without_any_authority_nothing_leaves_and_a_retry_ends_well(
    store: Store, signatures: list[Signature]
) -> None:
    authority = UnsafeAuthority("only", is_away=True)
    stamp = stamping(store, authority)
    for one in stamp(signatures):
        assert isinstance(one, TimestampUnavailableError)
        assert "only: only is away" in str(one)
        assert one.retryable
    with pytest.raises(TimestampUnavailableError):
        stamp.ready_to_leave(signatures)
    authority.is_away = False
    ready = stamp.ready_to_leave(signatures)
    assert all(isinstance(one.timestamp, Timestamp) for one in ready)


def test_what_needs_no_stamp_is_left_alone(store: Store, signatures: list[Signature]) -> None:
    authority = UnsafeAuthority()
    assert stamping(store, authority, is_wanted=lambda: False)(signatures) == signatures
    assert stamping(store, authority, keys=frozenset({"another"}))(signatures) == signatures
    openpgp = [replace(s, statement=replace(s.statement, format="openpgp")) for s in signatures]
    assert stamping(store, authority)(openpgp) == openpgp
    failed = [LogUnavailableError()]
    assert stamping(store, authority)(failed) == failed
    assert authority.asked == []
    assert stamping(store, authority, keys=frozenset({"release"}))(signatures) != signatures
