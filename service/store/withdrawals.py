"""Lists of withdrawals as they were issued, numbered without gaps."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.exc import IntegrityError

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis, to_millis
from service.domain.errors import LeaseLostError
from service.domain.keys import KeyState
from service.domain.withdrawals import WithdrawalList
from service.store.audit import record
from service.store.database import Database
from service.store.findings import ACTOR
from service.store.schema import key_versions, withdrawal_lists
from service.store.sql import database_now

_LATEST: Final = (
    select(withdrawal_lists, key_versions.c.public_key)
    .join(
        key_versions,
        (key_versions.c.key == withdrawal_lists.c.key)
        & (key_versions.c.version == withdrawal_lists.c.version),
    )
    .order_by(withdrawal_lists.c.sequence.desc())
    .limit(1)
)
_ACTIVE: Final = (
    select(key_versions.c.version)
    .where(
        key_versions.c.key == bindparam("key"),
        key_versions.c.version == bindparam("version"),
        key_versions.c.state == KeyState.ACTIVE.value,
    )
    .with_for_update(read=True)
)


class StoredWithdrawalLists:
    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self) -> WithdrawalList | None:
        row = self._database.read(lambda connection: connection.execute(_LATEST).first())
        return None if row is None else _list(row)

    def add(self, issued: WithdrawalList) -> bool:
        def run(connection: Connection) -> None:
            signer = {"key": issued.key, "version": issued.version}
            if connection.execute(_ACTIVE, signer).first() is None:
                raise LeaseLostError("the key version is not active now")
            connection.execute(
                withdrawal_lists.insert(),
                {
                    "sequence": issued.sequence,
                    "issued_at": to_millis(issued.issued_at),
                    "valid_until": to_millis(issued.valid_until),
                    "content": issued.content,
                    "payload": issued.payload,
                    "signature": issued.signature,
                    **signer,
                },
            )
            details = {"content": issued.content, "sequence": issued.sequence, **signer}
            event = AuditEvent("withdrawals.issued", ACTOR, str(issued.sequence), details)
            record(connection, [event], now=database_now(connection))

        try:
            self._database.write(run)
        except IntegrityError:
            return False
        return True


def _list(row: Row[Any]) -> WithdrawalList:
    return WithdrawalList(
        sequence=row.sequence,
        issued_at=from_millis(row.issued_at),
        valid_until=from_millis(row.valid_until),
        content=row.content,
        key=row.key,
        version=row.version,
        fingerprint=sha256(row.public_key).hexdigest(),
        payload=row.payload,
        signature=row.signature,
    )
