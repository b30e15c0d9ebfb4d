"""How a log grows: integration and publication, each in one transaction.

1. Lock the tree's row. On SQLite there is one writer anyway.
2. Take what is queued, in the order in which it was queued, and hash it onto the frontier.
3. Write leaves and the roots of tiles that became full, and empty the queue.
4. Move the tree on by compare-and-set on its size. Positions are a primary key besides: two
   integrators that had got past the lock could not both commit.

Signing comes after that and elsewhere: only a committed tree is ever signed. Who signs is
settled in the same transaction (`signer`, `signer_until`), for speed only.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from service.domain.clock import from_millis
from service.domain.errors import StoreUnavailableError
from service.domain.keys import KeyVersion
from service.domain.log import AdditionKind, Integrated, LogName, Promise, SignedHead, Tree
from service.store.audit_search import index_events
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.fast import changed, rows
from service.store.schema import (
    OPEN_TREE,
    audit_events,
    log_additions,
    log_checkpoints,
    log_entries,
    log_leaves,
    log_nodes,
    log_promises,
    log_queue,
    log_trees,
)
from service.store.sql import any_of, database_now, now_ms
from service.translog.entries import audit_leaf
from service.translog.frontier import EMPTY, Frontier, Grown, grow
from service.translog.merkle import EMPTY_ROOT, leaf_hash

MAX_CLAIM_MILLIS: Final = 60_000
"""Longer than anybody claims: one that seems to last longer was made before the clock went back."""

TREES: Final = select(
    log_trees,
    (
        log_trees.c.signer.is_not(None)
        & (log_trees.c.signer_until > now_ms())
        & (log_trees.c.signer_until <= now_ms() + MAX_CLAIM_MILLIS)
    ).label("is_claimed"),
)
_TREE: Final = TREES.where(log_trees.c.log == bindparam("log"), OPEN_TREE)
LOCK: Final = _TREE.with_for_update()
LOCK_BY_ID: Final = (
    select(log_trees).where(log_trees.c.tree_id == bindparam("tree")).with_for_update()
)
_BEGIN: Final = log_trees.insert()
QUEUED_SIGNATURES: Final[Select[Any]] = (
    select(
        log_queue.c.seq,
        log_queue.c.source,
        log_queue.c.number,
        func.coalesce(log_entries.c.entry, log_additions.c.entry).label("entry"),
    )
    .outerjoin(
        log_entries,
        (log_queue.c.source == "signature") & (log_entries.c.seq == log_queue.c.number),
    )
    .outerjoin(
        log_additions,
        (log_queue.c.source == "addition") & (log_additions.c.seq == log_queue.c.number),
    )
)
QUEUED_EVENTS: Final[Select[Any]] = select(
    log_queue.c.seq,
    log_queue.c.source,
    log_queue.c.number,
    audit_events.c.at,
    audit_events.c.body.label("entry"),
).join(audit_events, audit_events.c.seq == log_queue.c.number)


def _queued(query: Select[Any]) -> Select[Any]:
    return (
        query.where(log_queue.c.log == bindparam("log"))
        .order_by(log_queue.c.seq)
        .limit(bindparam("most"))
    )


QUEUED: Final = MappingProxyType(
    {
        LogName.SIGNATURES: _queued(QUEUED_SIGNATURES),
        LogName.AUDIT: _queued(QUEUED_EVENTS),
    }
)
_IS_QUEUED: Final = select(log_queue.c.seq).where(log_queue.c.log == bindparam("log")).limit(1)
_TAKEN: Final = delete(log_queue).where(any_of(log_queue.c.seq, "numbers"))
_LEAF_TIME: Final = select(log_leaves.c.at).where(
    log_leaves.c.tree_id == bindparam("tree"), log_leaves.c.position == bindparam("position")
)
_INSERT_LEAVES: Final = BulkInsert(
    log_leaves, ("tree_id", "position", "source", "number", "hash", "at")
)
_INSERT_NODES: Final = BulkInsert(log_nodes, ("tree_id", "level", "position", "hash"))
_MOVE: Final = (
    update(log_trees)
    .where(log_trees.c.tree_id == bindparam("tree"), log_trees.c.size == bindparam("old_size"))
    .values(
        size=bindparam("new_size"),
        root=bindparam("new_root"),
        frontier=bindparam("new_frontier"),
    )
)
_CLAIM: Final = (
    update(log_trees)
    .where(log_trees.c.tree_id == bindparam("tree"))
    .values(signer=bindparam("by"), signer_until=bindparam("until"))
)
_RELEASE: Final = (
    update(log_trees)
    .where(log_trees.c.tree_id == bindparam("tree"), log_trees.c.signer == bindparam("holder"))
    .values(signer=None, signer_until=0)
)
_SIGNED: Final = (
    update(log_trees)
    .where(log_trees.c.tree_id == bindparam("tree"))
    .values(signed_size=bindparam("signed"))
)
_INSERT_CHECKPOINT: Final = log_checkpoints.insert()
INSERT_ADDITION: Final = log_additions.insert()
_INSERT_PROMISE: Final = log_promises.insert()
_PROMISED: Final = select(log_promises.c.integrated_time, log_promises.c.signature).where(
    log_promises.c.tree_id == bindparam("tree"),
    log_promises.c.position == bindparam("at"),
    log_promises.c.key == bindparam("by"),
    log_promises.c.version == bindparam("number"),
)


class StoredLogWriter:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tree(self, log: LogName) -> Tree | None:
        found = self._database.read(lambda c: rows(c, _TREE, {"log": log.value}))
        return tree_from(found[0]) if found else None

    def begin(self, log: LogName, *, tree_id: int, name: str, key: str) -> Tree:
        values = {
            "tree_id": tree_id,
            "log": log.value,
            "name": name,
            "key": key,
            "size": 0,
            "root": EMPTY_ROOT,
            "frontier": EMPTY.dump(),
            "signed_size": 0,
            "signer": None,
            "signer_until": 0,
            "closed_at": None,
        }
        # Somebody else may be faster: its tree is then the one.
        with suppress(IntegrityError):
            self._database.write(partial(_begin, values))
        made = self.tree(log)
        if made is None:
            raise StoreUnavailableError(f"another log has had the name {name}")
        return made

    def is_behind(self, log: LogName) -> bool:
        def run(connection: Connection) -> bool:
            tree = rows(connection, _TREE, {"log": log.value})
            if tree and tree[0].size > tree[0].signed_size:
                return True
            return bool(rows(connection, _IS_QUEUED, {"log": log.value}))

        return self._database.read(run)

    def integrate(
        self, log: LogName, *, owner: str, seconds: float, limit: int
    ) -> Integrated | None:
        millis = round(seconds * 1000)
        return self._database.write(partial(_integrate, log, owner, millis, limit))

    def publish(self, head: SignedHead, *, owner: str) -> None:
        self._database.write(partial(_publish, head, owner))

    def release(self, tree: Tree, *, owner: str) -> None:
        names = {"tree": tree.id, "holder": owner}
        self._database.write(lambda connection: changed(connection, _RELEASE, names))

    def add(self, kind: AdditionKind, identity: str, entry: bytes) -> None:
        values = {"kind": kind.value, "identity": identity, "entry": entry}
        # One that is there already stands.
        with suppress(IntegrityError):
            self._database.write(partial(_add, values))

    def promise(self, tree_id: int, position: int, version: KeyVersion, made: Promise) -> Promise:
        keep = partial(_promise, tree_id, position, version, made)
        try:
            return self._database.write(keep)
        except IntegrityError:
            # Somebody else has just kept one, which is now found.
            return self._database.write(keep)


def tree_from(row: Row[Any]) -> Tree:
    return Tree(
        id=row.tree_id,
        log=LogName(row.log),
        name=row.name,
        key=row.key,
        size=row.size,
        root=row.root,
        signed_size=row.signed_size,
        started_at=from_millis(row.started_at),
        is_claimed=bool(row.is_claimed),
    )


def _begin(values: dict[str, Any], connection: Connection) -> None:
    # Looked at first: on PostgreSQL the loser of a race fails by the unique index.
    if connection.execute(LOCK, {"log": values["log"]}).one_or_none() is None:
        connection.execute(_BEGIN, {**values, "started_at": database_now(connection)})


def _integrate(
    log: LogName, owner: str, millis: int, limit: int, connection: Connection
) -> Integrated | None:
    locked = rows(connection, LOCK, {"log": log.value})
    if not locked:
        return None
    row = locked[0]
    queued = rows(connection, QUEUED[log], {"log": log.value, "most": limit})
    now = database_now(connection)
    grown = append(connection, row, queued, now=now) if queued else None
    size, root = (row.size, row.root) if grown is None else (grown.size, grown.root())
    may_sign = size > row.signed_size and (not row.is_claimed or row.signer == owner)
    if may_sign:
        rows(connection, _CLAIM, {"tree": row.tree_id, "by": owner, "until": now + millis})
    return Integrated(
        tree=replace(tree_from(row), size=size, root=root),
        is_more=len(queued) == limit,
        may_sign=may_sign,
    )


def append(
    connection: Connection, tree: Row[Any], queued: Sequence[Row[Any]], *, now: int
) -> Frontier:
    """Steps 2 to 4. No leaf is older than the one before it, whatever the clock says."""
    if tree.size:
        last = {"tree": tree.tree_id, "position": tree.size - 1}
        now = max(now, connection.execute(_LEAF_TIME, last).scalar_one())
    shaped = audit_leaf if tree.log == LogName.AUDIT else bytes
    hashes = [leaf_hash(shaped(row.entry)) for row in queued]
    grown: Grown = grow(Frontier.load(tree.size, tree.frontier), hashes)
    _INSERT_LEAVES.tuples(
        connection,
        [
            (tree.tree_id, tree.size + number, row.source, row.number, one, now)
            for number, (row, one) in enumerate(zip(queued, hashes, strict=True))
        ],
    )
    _INSERT_NODES.tuples(
        connection,
        [(tree.tree_id, node.level, node.index, node.hash) for node in grown.full_tiles],
    )
    if tree.log == LogName.AUDIT:
        index_events(connection, [(row.number, row.at, row.entry) for row in queued])
    rows(connection, _TAKEN, {"numbers": [row.seq for row in queued]})
    moved = changed(
        connection,
        _MOVE,
        {
            "tree": tree.tree_id,
            "old_size": tree.size,
            "new_size": grown.frontier.size,
            "new_root": grown.frontier.root(),
            "new_frontier": grown.frontier.dump(),
        },
    )
    if moved != 1:
        raise StoreUnavailableError("another integrator was faster", retry_after=0.1)
    return grown.frontier


def _publish(head: SignedHead, owner: str, connection: Connection) -> None:
    tree = rows(connection, LOCK_BY_ID, {"tree": head.tree_id})[0]
    if head.size > tree.size or (head.size == tree.size and head.root != tree.root):
        raise ValueError("a checkpoint of a tree that was never committed")
    if tree.closed_at is None and head.size > tree.signed_size:
        rows(
            connection,
            _INSERT_CHECKPOINT,
            {
                "tree_id": head.tree_id,
                "size": head.size,
                "root": head.root,
                "at": database_now(connection),
                "key": head.key,
                "version": head.version,
                "note": head.note,
                "rekor_note": head.rekor_note,
            },
        )
        rows(connection, _SIGNED, {"tree": head.tree_id, "signed": head.size})
    rows(connection, _RELEASE, {"tree": head.tree_id, "holder": owner})


def _add(values: dict[str, Any], connection: Connection) -> None:
    connection.execute(INSERT_ADDITION, {**values, "at": database_now(connection)})


def _promise(
    tree_id: int, position: int, version: KeyVersion, made: Promise, connection: Connection
) -> Promise:
    names = {"tree": tree_id, "at": position, "by": version.key, "number": version.version}
    kept = connection.execute(_PROMISED, names).one_or_none()
    if kept is not None:
        return replace(made, integrated_time=kept.integrated_time, signature=kept.signature)
    connection.execute(
        _INSERT_PROMISE,
        {
            "tree_id": tree_id,
            "position": position,
            "key": version.key,
            "version": version.version,
            "integrated_time": made.integrated_time,
            "signature": made.signature,
        },
    )
    return made
