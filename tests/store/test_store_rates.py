"""Buckets on both databases: one count for all who take, and rows only while they matter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from service.domain.rates import RateLimit
from service.store import Store
from service.store.rates import _take

SLOW = RateLimit(per_minute=1, burst=30)


def rows(store: Store) -> list[str]:
    query = "SELECT name FROM rate_buckets ORDER BY name"
    found = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    return [str(name) for name in found]


def test_what_one_store_takes_another_does_not_find(store_url: str, store: Store) -> None:
    other = Store(store_url)
    try:
        assert store.buckets.take("a", SLOW, most=20).count == 20
        assert other.buckets.take("a", SLOW, most=20).count == 10
        none = store.buckets.take("a", SLOW, most=20)
        assert none.count == 0
        assert 0 < none.wait_seconds <= 60
        assert other.buckets.take("b", SLOW, most=20).count == 20
    finally:
        other.close()


def test_many_who_take_at_once_get_no_more_than_there_is(store_url: str, store: Store) -> None:
    stores = [store, Store(store_url), Store(store_url)]
    try:
        with ThreadPoolExecutor(12) as pool:
            takes = [
                pool.submit(stores[number % 3].buckets.take, "a", SLOW, most=1)
                for number in range(60)
            ]
        # A stall of a minute would let one more through.
        assert 30 <= sum(each.result().count for each in takes) <= 33
    finally:
        for each in stores[1:]:
            each.close()


def test_buckets_that_are_full_again_are_swept_out_by_new_ones(store: Store) -> None:
    quick = RateLimit(per_minute=1_000_000, burst=1)
    for name in ("old-1", "old-2"):
        store.buckets.take(name, quick, most=1)
    store.buckets.take("slow", SLOW, most=30)
    # Each of the new ones takes along what was full before it came.
    for number in range(1000):
        store.buckets.take(f"new-{number}", quick, most=1)
        if not {"old-1", "old-2"} & set(rows(store)):
            break
    else:
        pytest.fail("old buckets stay")
    assert "slow" in rows(store)
    assert store.buckets.take("slow", SLOW, most=1).count == 0


def test_on_postgresql_no_count_waits_for_the_disk_and_other_writes_do(
    postgres_store_url: str,
) -> None:
    store = Store(postgres_store_url)

    def waits(connection: Connection) -> str:
        return str(connection.exec_driver_sql("SHOW synchronous_commit").scalar_one())

    def counted(connection: Connection) -> str:
        _take("a", SLOW, 1, connection)
        return waits(connection)

    ordinary = store._database.write(waits)
    assert ordinary != "off"
    assert store._database.write(counted) == "off"
    assert store._database.write(waits) == ordinary
    store.close()
