"""Cosignatures on published checkpoints: each witness's first on each, kept for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import IntegrityError

from service.domain.log import LogName, SignedHead
from service.store.database import Database
from service.store.log_reads import HEADS, head_from
from service.store.schema import OPEN_TREE, log_checkpoints, log_cosignatures, log_trees
from service.store.sql import database_now

_INSERT: Final = log_cosignatures.insert()
_LAST: Final = (
    select(log_cosignatures.c.size)
    .where(
        log_cosignatures.c.tree_id == bindparam("tree"),
        log_cosignatures.c.witness == bindparam("by"),
    )
    .order_by(log_cosignatures.c.size.desc())
    .limit(1)
)
_LINES: Final = (
    select(log_cosignatures.c.line)
    .where(
        log_cosignatures.c.tree_id == bindparam("tree"), log_cosignatures.c.size == bindparam("at")
    )
    .order_by(log_cosignatures.c.at, log_cosignatures.c.witness)
)
_NEWEST: Final = (
    HEADS.join(
        log_cosignatures,
        (log_cosignatures.c.tree_id == log_checkpoints.c.tree_id)
        & (log_cosignatures.c.size == log_checkpoints.c.size),
    )
    .join(log_trees, log_trees.c.tree_id == log_checkpoints.c.tree_id)
    .where(log_trees.c.log == bindparam("log"), OPEN_TREE)
    .order_by(log_cosignatures.c.size.desc())
    .limit(1)
)


class StoredCosignatures:
    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, head: SignedHead, lines: Mapping[str, str]) -> None:
        for witness, line in lines.items():
            values = {"tree_id": head.tree_id, "size": head.size, "witness": witness, "line": line}
            # Another process was faster: its line stands.
            with suppress(IntegrityError):
                self._database.write(partial(_keep, values))

    def last_size(self, tree_id: int, witness: str) -> int:
        values = {"tree": tree_id, "by": witness}
        found = self._database.read(lambda c: c.execute(_LAST, values).scalar_one_or_none())
        return int(found or 0)

    def lines(self, tree_id: int, size: int) -> Sequence[str]:
        values = {"tree": tree_id, "at": size}
        return self._database.read(lambda c: c.execute(_LINES, values).scalars().all())

    def newest(self, log: LogName) -> SignedHead | None:
        row = self._database.read(lambda c: c.execute(_NEWEST, {"log": log.value}).one_or_none())
        return None if row is None else head_from(row)


def _keep(values: dict[str, Any], connection: Connection) -> None:
    connection.execute(_INSERT, {**values, "at": database_now(connection)})
