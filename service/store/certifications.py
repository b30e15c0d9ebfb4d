"""How keys certify their own OpenPGP form: one signature for each version, kept for ever."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, bindparam, select

from service.domain.audit import AuditEvent
from service.domain.keys import KeyVersion
from service.store.audit import record
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.schema import openpgp_certifications as table
from service.store.sql import database_now

_FIND: Final = select(table.c.signature).where(
    table.c.key == bindparam("key"), table.c.version == bindparam("version")
)
_INSERT: Final = BulkInsert(
    table, ("key", "version", "signature", "created_at"), unless=("key", "version")
)


class StoredKeyCertifications:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, version: KeyVersion) -> bytes | None:
        values = {"key": version.key, "version": version.version}
        return self._database.read(
            lambda connection: connection.execute(_FIND, values).scalar_one_or_none()
        )

    def keep(self, version: KeyVersion, signature: bytes) -> bytes:
        values = {"key": version.key, "version": version.version}

        def run(connection: Connection) -> bytes:
            now = database_now(connection)
            _INSERT(connection, [{**values, "signature": signature, "created_at": now}])
            kept: bytes = connection.execute(_FIND, values).scalar_one()
            if kept == signature:
                subject = f"{version.key}/{version.version}"
                event = AuditEvent(
                    "key.openpgp-certified",
                    "sealwright",
                    subject,
                    {"fingerprint": version.fingerprint},
                )
                record(connection, [event], now=now)
            return kept

        return self._database.write(run)
