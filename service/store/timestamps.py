"""Time stamps over signatures: the first one of each is kept, and never changed."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis, rfc3339, to_millis
from service.domain.signing import Timestamp
from service.store.audit import record
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.schema import timestamps as table
from service.store.sql import any_of, database_now

_ACTOR: Final = "sealwright"
_KEPT: Final = select(table).where(any_of(table.c.signature_id, "ids"))
_INSERT: Final = BulkInsert(
    table, ("signature_id", "authority", "at", "reply"), unless=("signature_id",)
)


class StoredTimestamps:
    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, made: Mapping[str, Timestamp]) -> Mapping[str, Timestamp]:
        ids = sorted(made)

        def run(connection: Connection) -> Mapping[str, Timestamp]:
            before = {row.signature_id for row in connection.execute(_KEPT, {"ids": ids})}
            # In one order everywhere: two who keep the same must not deadlock.
            new = [(one, made[one]) for one in ids if one not in before]
            _INSERT.tuples(connection, [(i, t.authority, to_millis(t.at), t.reply) for i, t in new])
            kept = {
                row.signature_id: _timestamp(row) for row in connection.execute(_KEPT, {"ids": ids})
            }
            ours = [(one, stamp) for one, stamp in new if kept[one].reply == stamp.reply]
            now = database_now(connection)
            record(connection, [_event(one, stamp) for one, stamp in ours], now=now)
            return kept

        return self._database.write(run) if made else {}


def _timestamp(row: Row[Any]) -> Timestamp:
    return Timestamp(row.authority, from_millis(row.at), row.reply)


def _event(signature_id: str, stamp: Timestamp) -> AuditEvent:
    details = {
        "at": rfc3339(stamp.at),
        "authority": stamp.authority,
        "reply_sha256": sha256(stamp.reply).hexdigest(),
    }
    return AuditEvent("signature.timestamped", _ACTOR, signature_id, details)
