"""What is done to a log whose store was put back to an older state.

Refilling appends exactly what the store had lost, and commits only if that leads to the root
that was published. Closing ends a tree for good; what no checkpoint of it covers goes into the
next one, under another record, as a leaf is never taken away.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, func, select, update

from service.domain.clock import to_millis
from service.domain.errors import StoreUnavailableError
from service.domain.log import AdditionKind, LogName, Tree, added_again
from service.store.database import Database
from service.store.log_trees import (
    INSERT_ADDITION,
    LOCK,
    LOCK_BY_ID,
    QUEUED,
    QUEUED_EVENTS,
    QUEUED_SIGNATURES,
    append,
)
from service.store.schema import (
    audit_events,
    log_additions,
    log_entries,
    log_leaves,
    log_queue,
    log_trees,
)
from service.store.sql import database_now
from service.translog.entries import audit_leaf
from service.translog.errors import ProofInvalidError

LOOK_AT: Final = 10_000  # queued entries, beside those that are put back: there are few

_ADDITION: Final[Select[Any]] = QUEUED_SIGNATURES.where(
    log_additions.c.identity == bindparam("identity")
)
# The row that this transaction has just inserted is the newest that it sees.
_EVENT: Final[Select[Any]] = (
    QUEUED_EVENTS.where(log_queue.c.log == "audit").order_by(log_queue.c.seq.desc()).limit(1)
)
_INSERT_EVENT: Final = audit_events.insert()
_UNCOVERED: Final[Select[Any]] = (
    select(
        func.coalesce(log_entries.c.signature_id, log_additions.c.identity).label("of"),
        func.coalesce(log_entries.c.entry, log_additions.c.entry).label("entry"),
    )
    .select_from(log_leaves)
    .outerjoin(
        log_entries,
        (log_leaves.c.source == "signature") & (log_entries.c.seq == log_leaves.c.number),
    )
    .outerjoin(
        log_additions,
        (log_leaves.c.source == "addition") & (log_additions.c.seq == log_leaves.c.number),
    )
    .where(log_leaves.c.tree_id == bindparam("tree"), log_leaves.c.position >= bindparam("signed"))
    .order_by(log_leaves.c.position)
)
_CLOSE: Final = (
    update(log_trees)
    .where(log_trees.c.tree_id == bindparam("tree"))
    .values(closed_at=bindparam("now"))
)


class StoredLogRecovery:
    def __init__(self, database: Database) -> None:
        self._database = database

    def refill(self, tree: Tree, entries: Sequence[bytes], *, root: bytes) -> None:
        self._database.write(partial(_refill, tree, entries, root))

    def close(self, tree: Tree) -> int:
        return self._database.write(partial(_close, tree))


def _refill(tree: Tree, entries: Sequence[bytes], root: bytes, connection: Connection) -> None:
    row = connection.execute(LOCK, {"log": tree.log.value}).one()
    if (row.tree_id, row.size) != (tree.id, tree.size):
        raise StoreUnavailableError("the tree has grown meanwhile", retry_after=1.0)
    shaped = audit_leaf if tree.log is LogName.AUDIT else bytes
    queued: dict[bytes, Row[Any]] = {}
    everything = {"log": tree.log.value, "most": len(entries) + LOOK_AT}
    for one in connection.execute(QUEUED[tree.log], everything):
        queued.setdefault(shaped(one.entry), one)
    now = database_now(connection)
    leaves = []
    for position, entry in enumerate(entries, row.size):
        found = queued.pop(entry, None)
        if found is None and tree.log is LogName.AUDIT:
            found = _added_event(connection, entry, now=now)
        if found is None:
            found = _added(connection, f"refilled {tree.id} {position}", entry, now=now)
        leaves.append(found)
    if append(connection, row, leaves, now=now).root() != root:
        raise ProofInvalidError("the entries do not lead to the root of the checkpoint")


def _added(connection: Connection, identity: str, entry: bytes, *, now: int) -> Row[Any]:
    """Record an entry of which there is no other record, and return it as its queue shows it."""
    kind = AdditionKind.REFILLED.value
    connection.execute(
        INSERT_ADDITION, {"kind": kind, "identity": identity, "entry": entry, "at": now}
    )
    added: Row[Any] = connection.execute(_ADDITION, {"identity": identity}).one()
    return added


def _added_event(connection: Connection, body: bytes, *, now: int) -> Row[Any]:
    connection.execute(_INSERT_EVENT, {"at": _moment(body, now), "body": body})
    added: Row[Any] = connection.execute(_EVENT).one()
    return added


def _moment(body: bytes, now: int) -> int:
    """Return when an event says that it happened; of a hashed one nothing else is known."""
    try:
        text = str(json.loads(body)["at"])
        return to_millis(datetime.fromisoformat(text))
    except (ValueError, KeyError, TypeError):
        return now


def _close(tree: Tree, connection: Connection) -> int:
    row = connection.execute(LOCK_BY_ID, {"tree": tree.id}).one()
    now = database_now(connection)
    uncovered: Sequence[Row[Any]] = ()
    if tree.log is LogName.SIGNATURES:
        uncovered = connection.execute(
            _UNCOVERED, {"tree": tree.id, "signed": row.signed_size}
        ).all()
    kind = AdditionKind.REFILLED.value
    for leaf in uncovered:
        connection.execute(
            INSERT_ADDITION,
            {"kind": kind, "identity": added_again(leaf.of), "entry": leaf.entry, "at": now},
        )
    connection.execute(_CLOSE, {"tree": tree.id, "now": now})
    return len(uncovered)
