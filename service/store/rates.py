"""Buckets of rate limits: one row for each that is not full, for all processes.

A write here is worth no wait for the disk: what a crash loses is a moment's counting.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, text, update

from service.domain.rates import RateLimit, Taken, take
from service.store.database import Database
from service.store.inserts import upsert
from service.store.schema import rate_buckets
from service.store.sql import database_now

PURGED_AT_ONCE: Final = 20  # full buckets that one new row takes along: the table cannot grow
_MICROS: Final = 1000  # in a millisecond

_NO_WAIT: Final = text("SET LOCAL synchronous_commit = off")


def _locking(statement: Any) -> Any:
    """Return the row as it is, made if need be, and held until the transaction ends."""
    new = statement.values(name=bindparam("name"), full_at=0)
    return new.on_conflict_do_update(
        index_elements=("name",), set_={"full_at": rate_buckets.c.full_at}
    ).returning(rate_buckets.c.full_at)


_LOCK: Final = upsert(rate_buckets, _locking)
_SET: Final = (
    update(rate_buckets)
    .where(rate_buckets.c.name == bindparam("which"))
    .values(full_at=bindparam("moment"))
)
_PURGE: Final = delete(rate_buckets).where(
    rate_buckets.c.name.in_(
        select(rate_buckets.c.name)
        .where(rate_buckets.c.full_at < bindparam("now"), rate_buckets.c.name != bindparam("mine"))
        .order_by(rate_buckets.c.full_at)
        .limit(PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
)


class StoredBuckets:
    """service.ports.rates.Buckets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, name: str, limit: RateLimit, *, most: int) -> Taken:
        return self._database.write(partial(_take, name, limit, most))


def _take(name: str, limit: RateLimit, most: int, connection: Connection) -> Taken:
    if connection.dialect.name == "postgresql":
        connection.execute(_NO_WAIT)
    full_at = connection.execute(_LOCK(connection), {"name": name}).scalar_one()
    # After the lock is held: whoever waited for it must not come with a time of before.
    now = database_now(connection) * _MICROS
    taken = take(limit, full_at=full_at, now=now, most=most)
    connection.execute(_SET, {"which": name, "moment": taken.full_at})
    if full_at == 0:
        connection.execute(_PURGE, {"now": now, "mine": name})
    return taken
