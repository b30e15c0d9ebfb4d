"""Idempotency-Keys: one row for each credential and key, kept for 7 days.

A row keeps its id, the request id, through every replay of the same body. It belongs to its
body from the first run on, unless that run let go of it without results (429 or 5xx): then
nothing was promised, and another body may take the key, under a new id.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from service.domain.errors import (
    IdempotencyKeyReusedError,
    LeaseLostError,
    RequestInProgressError,
)
from service.domain.ids import new_id
from service.domain.limits import IDEMPOTENCY_DAYS
from service.ports.store import IdempotentRequest
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.schema import idempotency
from service.store.sql import database_now, now_ms

KEPT_MILLIS: Final = IDEMPOTENCY_DAYS * 24 * 3600 * 1000
PURGED_AT_ONCE: Final = 50  # old rows that one new row takes along: the table cannot grow
RETRY_SECONDS: Final = 2.0  # most requests are over by then, whatever their lease says

_FIND: Final = (
    select(idempotency)
    .where(
        idempotency.c.credential_id == bindparam("credential_id"),
        idempotency.c.key == bindparam("key"),
    )
    .with_for_update()
)
_INSERT: Final = BulkInsert(
    idempotency,
    (
        "id",
        "credential_id",
        "key",
        "body_hash",
        "owner",
        "fencing",
        "lease_until",
        "released",
        "expires_at",
    ),
    unless=("credential_id", "key"),
)
_TAKE: Final = (
    update(idempotency)
    .where(idempotency.c.seq == bindparam("which"))
    .values(
        owner=bindparam("holder"),
        fencing=idempotency.c.fencing + 1,
        lease_until=bindparam("until"),
        released=False,
    )
)
_RENAME: Final = (
    update(idempotency)
    .where(idempotency.c.seq == bindparam("which"))
    .values(
        id=bindparam("new_id"),
        body_hash=bindparam("body"),
        results=None,
        expires_at=bindparam("expires"),
    )
)
_HELD: Final = (
    idempotency.c.id == bindparam("which"),
    idempotency.c.owner == bindparam("holder"),
    idempotency.c.fencing == bindparam("fence"),
)
_RENEW: Final = (
    update(idempotency)
    .where(*_HELD, idempotency.c.lease_until >= now_ms())
    .values(lease_until=now_ms() + bindparam("millis", type_=idempotency.c.lease_until.type))
)
_FINISH: Final = (
    update(idempotency)
    .where(*_HELD)
    .values(
        owner=None,
        lease_until=0,
        results=bindparam("outcome"),
        expires_at=now_ms() + KEPT_MILLIS,
    )
)
_RELEASE: Final = update(idempotency).where(*_HELD).values(owner=None, lease_until=0, released=True)
_PURGE: Final = delete(idempotency).where(
    idempotency.c.seq.in_(
        select(idempotency.c.seq)
        .where(
            idempotency.c.expires_at < bindparam("now"),
            idempotency.c.lease_until < bindparam("now"),
        )
        .limit(PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
)


class StoredIdempotencyLedger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(
        self, *, credential_id: str, key: str, body_hash: str, owner: str, seconds: float
    ) -> IdempotentRequest:
        wanted = {"credential_id": credential_id, "key": key}
        return self._database.write(
            partial(_begin, wanted, body_hash, owner=owner, millis=round(seconds * 1000))
        )

    def renew(self, request: IdempotentRequest, *, seconds: float) -> None:
        """Raises LeaseLostError."""
        values = {**_values(request), "millis": round(seconds * 1000)}
        if not self._database.write(lambda connection: connection.execute(_RENEW, values).rowcount):
            raise LeaseLostError

    def finish(self, request: IdempotentRequest, results: bytes) -> None:
        """Raises LeaseLostError where another run has taken the key over."""
        values = {**_values(request), "outcome": results}
        if not self._database.write(
            lambda connection: connection.execute(_FINISH, values).rowcount
        ):
            raise LeaseLostError

    def release(self, request: IdempotentRequest) -> None:
        """Results of an earlier run stay; does nothing if the key was lost."""
        values = _values(request)
        self._database.write(lambda connection: connection.execute(_RELEASE, values).rowcount)


def _begin(
    wanted: dict[str, str], body_hash: str, connection: Connection, *, owner: str, millis: int
) -> IdempotentRequest:
    now = database_now(connection)
    row = connection.execute(_FIND, wanted).one_or_none()
    if row is None:
        connection.execute(_PURGE, {"now": now})
        request_id = new_id("req")
        _INSERT(
            connection,
            [
                {
                    "id": request_id,
                    **wanted,
                    "body_hash": body_hash,
                    "owner": owner,
                    "fencing": 1,
                    "lease_until": now + millis,
                    "released": False,
                    "expires_at": now + KEPT_MILLIS,
                }
            ],
        )
        row = connection.execute(_FIND, wanted).one()
        if row.id == request_id:
            return IdempotentRequest(request_id, owner, 1)
        # Another process was quicker by a hair.
    return _take(connection, row, body_hash, owner=owner, until=now + millis, now=now)


def _take(
    connection: Connection, row: Row[Any], body_hash: str, *, owner: str, until: int, now: int
) -> IdempotentRequest:
    held = row.lease_until > now
    expired = row.expires_at <= now and not held
    unbound = row.released and row.results is None and not held
    same = row.body_hash == body_hash
    if not same and not expired and not unbound:
        raise IdempotencyKeyReusedError
    if held:
        remaining = (row.lease_until - now) / 1000
        raise RequestInProgressError(retry_after=min(remaining, RETRY_SECONDS))
    request_id, results = row.id, row.results
    if expired or not same:
        request_id, results = new_id("req"), None
        connection.execute(
            _RENAME,
            {
                "which": row.seq,
                "new_id": request_id,
                "body": body_hash,
                "expires": now + KEPT_MILLIS,
            },
        )
    connection.execute(_TAKE, {"which": row.seq, "holder": owner, "until": until})
    return IdempotentRequest(request_id, owner, row.fencing + 1, results)


def _values(request: IdempotentRequest) -> dict[str, Any]:
    return {"which": request.id, "holder": request.owner, "fence": request.fencing}
