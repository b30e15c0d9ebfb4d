"""PINs that a token has refused, remembered for all workers until a custodian clears them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, delete, select

from service.domain.audit import AuditEvent
from service.store.audit import record
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.schema import pin_latches
from service.store.sql import database_now

_FIND: Final = select(pin_latches.c.token).where(
    pin_latches.c.token == bindparam("token"),
    pin_latches.c.fingerprint == bindparam("fingerprint"),
)
_INSERT: Final = BulkInsert(
    pin_latches, ("token", "fingerprint", "latched_at"), unless=("token", "fingerprint")
)
_CLEAR: Final = delete(pin_latches).where(pin_latches.c.token == bindparam("token"))


class StoredPINLatch:
    def __init__(self, database: Database) -> None:
        self._database = database

    def is_latched(self, token: str, fingerprint: str) -> bool:
        values = {"token": token, "fingerprint": fingerprint}
        return bool(self._database.read(lambda connection: connection.execute(_FIND, values).all()))

    def latch(self, token: str, fingerprint: str) -> None:
        values = {"token": token, "fingerprint": fingerprint}

        def run(connection: Connection) -> None:
            if connection.execute(_FIND, values).first() is None:
                _INSERT(connection, [{**values, "latched_at": database_now(connection)}])

        self._database.write(run)

    def clear(self, token: str, *, actor: str) -> bool:
        def run(connection: Connection) -> bool:
            cleared = connection.execute(_CLEAR, {"token": token}).rowcount
            if cleared:
                event = AuditEvent("pin.cleared", actor, token, {"latches": cleared})
                record(connection, [event], now=database_now(connection))
            return cleared > 0

        return self._database.write(run)
