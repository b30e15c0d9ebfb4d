"""Two replicas under load, struck again and again (`make drill`; the short form is in product)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from tests.support.replicas import (
    Load,
    assert_nothing_is_lost,
    crash_database,
    kill_a_worker,
    two_replicas,
)

STRIKES = 30
SEED = 7


@pytest.mark.timeout(1800)
def test_replicas_that_are_struck_again_and_again_lose_nothing(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(postgres_server.create_database())
    chance = random.Random(SEED)  # the same strikes each time
    with two_replicas(tmp_path, url) as replicas:
        load = Load(replicas)
        with load.running(callers=12):
            for _ in range(STRIKES):
                load.wait_for(chance.randrange(5, 40))
                if chance.random() < 0.25:
                    crash_database(postgres_server, url)
                else:
                    kill_a_worker(chance.choice(replicas))
            load.wait_for(20)
        assert_nothing_is_lost(load, url)
