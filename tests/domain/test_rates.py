"""The bucket: never more than the limit says, and never less than it promises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from service.domain.rates import MAX_PER_MINUTE, RateLimit, take

COUNTS = st.integers(1, MAX_PER_MINUTE)
LIMITS = st.builds(RateLimit, COUNTS, COUNTS)
SMALL = st.builds(RateLimit, st.integers(1, 600), st.integers(1, 50))
CALLS = st.lists(st.tuples(st.integers(0, 90_000_000), st.integers(1, 30)), max_size=40)
NOW = 1_800_000_000_000_000


@given(SMALL, CALLS)
def test_in_no_stretch_of_time_does_more_come_out_than_the_limit_says(
    limit: RateLimit, calls: list[tuple[int, int]]
) -> None:
    full_at, now = 0, NOW
    taken: list[tuple[int, int]] = []
    for pause, most in calls:
        now += pause
        got = take(limit, full_at=full_at, now=now, most=most)
        assert 0 <= got.count <= most
        full_at = got.full_at
        taken.append((now, got.count))
    for place, (begin, _) in enumerate(taken):
        total = 0
        for end, count in taken[place:]:
            total += count
            assert total <= limit.burst + (end - begin) * limit.per_minute / 60_000_000


@given(LIMITS)
def test_a_bucket_that_nobody_touched_gives_the_whole_burst_and_then_nothing(
    limit: RateLimit,
) -> None:
    whole = take(limit, full_at=0, now=NOW, most=2 * limit.burst)
    assert whole.count == limit.burst
    none = take(limit, full_at=whole.full_at, now=NOW, most=1)
    assert (none.count, none.full_at) == (0, whole.full_at)


@given(SMALL, CALLS)
def test_whoever_waits_as_long_as_told_gets_one(
    limit: RateLimit, calls: list[tuple[int, int]]
) -> None:
    full_at, now = 0, NOW
    for pause, most in calls:
        now += pause
        got = take(limit, full_at=full_at, now=now, most=most)
        full_at = got.full_at
        if not got.count:
            now += round(got.wait_seconds * 1_000_000)
            again = take(limit, full_at=full_at, now=now, most=1)
            assert again.count == 1
            full_at = again.full_at


@given(LIMITS, st.integers(0, 2 * NOW))
def test_no_state_locks_out_for_longer_than_the_bucket_takes_to_fill(
    limit: RateLimit, full_at: int
) -> None:
    # As after a clock that was set back by years, or another limit.
    got = take(limit, full_at=full_at, now=NOW, most=1)
    assert got.wait_seconds <= limit.interval / 1_000_000
    assert got.full_at <= NOW + limit.burst * limit.interval


@given(LIMITS)
def test_a_share_is_a_twentieth_of_the_burst_and_at_least_one(limit: RateLimit) -> None:
    assert limit.share == 1 or limit.share * 20 <= limit.burst
    assert 1 <= limit.share <= 100
