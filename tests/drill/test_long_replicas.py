"""Two replicas under load, struck again and again (`make drill`; the short form is in product)."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from service.domain.digests import Digest
from tests.support.postgres_pair import FAST, IMMEDIATE, postgres_pair
from tests.support.replicas import (
    Load,
    assert_log_verifies,
    assert_nothing_is_lost,
    crash_database,
    kill_a_worker,
    two_replicas,
)

FAIL_OVERS = 4
STRIKES = 8  # before each of them
SEED = 7


@pytest.mark.timeout(1800)
def test_replicas_that_are_struck_again_and_again_lose_nothing(tmp_path: Path) -> None:
    chance = random.Random(SEED)  # the same strikes each time
    with postgres_pair() as pair, two_replicas(tmp_path, pair.url) as replicas:
        strikes: list[Callable[[], None]] = [
            *(partial(kill_a_worker, replica) for replica in replicas),
            partial(crash_database, pair.url),
            partial(pair.restart, FAST),
            partial(pair.restart, IMMEDIATE),
        ]
        for _ in range(FAIL_OVERS):
            load = Load(replicas, later=True)
            with load.running(callers=12):
                for _ in range(STRIKES):
                    load.wait_for(chance.randrange(5, 40))
                    chance.choice(strikes)()
                load.wait_for(5)
                pair.wait_until_synchronous()
                pair.fail_over()
                load.wait_for(20)
            assert_nothing_is_lost(load, pair.url)
            pair.synchronise()
        assert_log_verifies(replicas[0])


@pytest.mark.timeout(1800)
def test_a_standby_that_lacks_something_is_noticed_and_neither_replica_signs(
    tmp_path: Path,
) -> None:
    with postgres_pair() as pair, two_replicas(tmp_path, pair.url) as replicas:
        load = Load(replicas)
        assert load.sign_one(0)
        pair.separate()
        for number in range(20):
            assert load.sign_one(number)
        assert_nothing_is_lost(load, pair.url)
        pair.fail_over()
        with pytest.raises(AssertionError, match="lost"):
            assert_nothing_is_lost(load, pair.url)
        for replica in replicas:
            answer = replica.sign(f"{replica.registry}/a/b@{Digest.of(b'')}", attach=False)
            assert (answer.status, answer.body["code"]) == (503, "log-rolled-back")
