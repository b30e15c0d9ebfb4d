"""Switches of the whole service."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis
from service.domain.switches import Switch
from service.store.audit import record
from service.store.database import Database
from service.store.inserts import upsert
from service.store.schema import switches
from service.store.sql import database_now

_GET: Final = select(switches).where(switches.c.name == bindparam("which"))


def _turning(statement: Any) -> Any:
    new = statement.values(
        name=bindparam("name"),
        is_on=bindparam("is_on"),
        reason=bindparam("reason"),
        actor=bindparam("actor"),
        at=bindparam("at"),
    )
    columns = ("is_on", "reason", "actor", "at")
    return new.on_conflict_do_update(
        index_elements=("name",), set_={name: new.excluded[name] for name in columns}
    )


_TURN: Final = upsert(switches, _turning)


class StoredSwitches:
    """service.ports.upkeep.Switches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Switch:
        return self._database.read(lambda connection: _get(connection, name))

    def turn(self, name: str, *, on: bool, reason: str | None, actor: str) -> Switch:
        def run(connection: Connection) -> Switch:
            known = _get(connection, name)
            if known.is_on is on:
                return known
            now = database_now(connection)
            values = {"name": name, "is_on": on, "reason": reason, "actor": actor, "at": now}
            connection.execute(_TURN(connection), values)
            action = f"{name}.{'begun' if on else 'ended'}"
            record(connection, [AuditEvent(action, actor, name, {"reason": reason})], now=now)
            return Switch(on, reason, actor, from_millis(now))

        return self._database.write(run)


def _get(connection: Connection, name: str) -> Switch:
    row = connection.execute(_GET, {"which": name}).one_or_none()
    if row is None:
        return Switch()
    return Switch(bool(row.is_on), row.reason, row.actor, from_millis(row.at))
