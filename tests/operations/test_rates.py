"""Limits that hold for several processes, each with a share in hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.callers import Caller, Role
from service.domain.errors import RateLimitedError
from service.domain.rates import RateLimit
from service.operations.rates import MAX_NAMES, RateLimits
from service.policy.rates import RatePolicy
from tests.support.memory import MemoryBuckets

BUILDER = Caller("cred_1", "ci", "CI", Role.BUILDER)
OTHER = Caller("cred_2", "nightly", "CI", Role.BUILDER)
AUDITOR = Caller("cred_3", "ada", "Ada", Role.AUDITOR)


@dataclass
class HandClock:
    buckets: MemoryBuckets
    seconds: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.seconds += seconds
        self.buckets.now += round(seconds * 1_000_000)


class Replicas:
    def __init__(self, policy: RatePolicy, *, count: int = 1) -> None:
        self.buckets = MemoryBuckets()
        self.clock = HandClock(self.buckets)
        self.policy = policy
        self.all = [RateLimits(self.buckets, lambda: self.policy, self.clock) for _ in range(count)]

    def allows(self, caller: Caller = BUILDER, *, replica: int = 0) -> bool:
        try:
            self.all[replica].call(caller)
        except RateLimitedError:
            return False
        return True


def builders(per_minute: int, burst: int) -> RatePolicy:
    return RatePolicy(roles={Role.BUILDER: RateLimit(per_minute, burst)})


@given(
    st.integers(1, 300),
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 30)), min_size=1, max_size=200),
)
def test_replicas_together_let_no_more_through_than_the_limit_and_their_shares(
    per_minute: int, burst: int, calls: list[tuple[int, float]]
) -> None:
    policy = builders(per_minute, burst)
    replicas = Replicas(policy, count=3)
    allowed: list[float] = []
    for replica, pause in calls:
        replicas.clock.move(pause)
        if replicas.allows(replica=replica):
            allowed.append(replicas.clock.seconds)
    in_hand = 3 * policy.roles[Role.BUILDER].share
    for place, begin in enumerate(allowed):
        for count, end in enumerate(allowed[place:], 1):
            # A microsecond a call is lost in rounding the moments of this test.
            seconds = end - begin + 1e-6 * len(calls)
            assert count <= burst + in_hand + seconds * per_minute / 60


def test_a_burst_is_let_through_whole_and_what_comes_after_it_waits() -> None:
    replicas = Replicas(builders(60, 40))
    assert [replicas.allows() for _ in range(41)] == [True] * 40 + [False]
    with pytest.raises(RateLimitedError) as caught:
        replicas.all[0].call(BUILDER)
    assert caught.value.retry_after is not None
    replicas.clock.move(caught.value.retry_after)
    assert replicas.allows()


def test_the_store_is_asked_once_for_each_share_and_not_at_all_while_all_wait() -> None:
    replicas = Replicas(builders(60, 200))  # shares of ten
    for _ in range(200):
        assert replicas.allows()
    assert replicas.buckets.asked == 20
    assert not any(replicas.allows() for _ in range(100))
    assert replicas.buckets.asked == 21


def test_each_credential_has_a_bucket_of_its_own_and_what_names_it_comes_first() -> None:
    policy = RatePolicy(
        roles={Role.BUILDER: RateLimit(1, 2)}, credentials={"nightly": RateLimit(1, 5)}
    )
    replicas = Replicas(policy)
    assert [replicas.allows(BUILDER) for _ in range(3)] == [True, True, False]
    assert [replicas.allows(OTHER) for _ in range(6)] == [True] * 5 + [False]
    assert all(replicas.allows(AUDITOR) for _ in range(1000))
    assert set(replicas.buckets.full_at) == {"credential cred_1", "credential cred_2"}


def test_another_limit_in_the_policy_holds_from_the_next_call_on() -> None:
    replicas = Replicas(builders(1, 100))
    assert replicas.allows()
    replicas.policy = builders(1, 3)
    assert sum(replicas.allows() for _ in range(10)) <= 3
    replicas.policy = RatePolicy()
    assert all(replicas.allows() for _ in range(10))


def test_an_address_counts_by_itself_and_an_ipv6_network_as_one() -> None:
    def allows(address: str) -> bool:
        try:
            replicas.all[0].write_from(address)
        except RateLimitedError:
            return False
        return True

    replicas = Replicas(RatePolicy(addresses=RateLimit(1, 1)))
    assert [allows("192.0.2.1"), allows("192.0.2.1"), allows("192.0.2.2")] == [True, False, True]
    assert not allows("::ffff:192.0.2.1")
    assert [allows("2001:db8::1"), allows("2001:db8::2"), allows("2001:db8:0:1::1")] == [
        True,
        False,
        True,
    ]
    assert [allows(""), allows("")] == [True, False]


def test_what_is_in_hand_is_forgotten_instead_of_growing() -> None:
    replicas = Replicas(RatePolicy())
    for number in range(MAX_NAMES + 10):
        replicas.all[0].write_from(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(replicas.all[0]._hands) == MAX_NAMES
