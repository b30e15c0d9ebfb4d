"""What is read of the logs: heads, positions, hashes of tiles, and leaves.

Nothing here changes with time once it is there, except which checkpoint is the newest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)

from service.domain.clock import from_millis
from service.domain.log import LogName, Placement, Promise, SignedHead, Tree
from service.store.database import Database
from service.store.fast import rows
from service.store.log_trees import TREES, tree_from
from service.store.schema import (
    OPEN_TREE,
    audit_events,
    key_versions,
    log_additions,
    log_checkpoints,
    log_entries,
    log_leaves,
    log_nodes,
    log_promises,
    log_queue,
    log_trees,
    signatures,
)
from service.store.sql import any_of
from service.translog.entries import audit_leaf

_TREES: Final = TREES.where(log_trees.c.log == bindparam("log")).order_by(log_trees.c.started_at)
HEADS: Final = select(log_checkpoints, key_versions.c.public_key).join(
    key_versions,
    (key_versions.c.key == log_checkpoints.c.key)
    & (key_versions.c.version == log_checkpoints.c.version),
)
_NEWEST: Final = HEADS.join(
    log_trees,
    (log_trees.c.tree_id == log_checkpoints.c.tree_id)
    & (log_trees.c.signed_size == log_checkpoints.c.size),
).where(log_trees.c.log == bindparam("log"), OPEN_TREE)
_HEADS_OF: Final = HEADS.where(
    log_checkpoints.c.tree_id == bindparam("tree"), any_of(log_checkpoints.c.size, "sizes")
)
# A checkpoint counts for good unless its key was compromised before it was made.
_COUNTS: Final = key_versions.c.ever_compromised.is_(False) | (
    key_versions.c.compromised_since > log_checkpoints.c.at
)
# In order and limited, not min(): that would look at every checkpoint since an old leaf.
_COVERING: Final = (
    select(log_checkpoints.c.size)
    .join(
        key_versions,
        (key_versions.c.key == log_checkpoints.c.key)
        & (key_versions.c.version == log_checkpoints.c.version),
    )
    .where(
        log_checkpoints.c.tree_id == log_leaves.c.tree_id,
        log_checkpoints.c.size > log_leaves.c.position,
        _COUNTS,
    )
    .order_by(log_checkpoints.c.size)
    .limit(1)
    .correlate(log_leaves)
    .scalar_subquery()
)
_LEAF: Final = (
    log_leaves.c.tree_id,
    log_leaves.c.position,
    log_leaves.c.at,
    _COVERING.label("covered_by"),
)
# Nothing is added, but a planner cannot turn the sum around: what is asked for is looked up first,
# and then its leaf. SQLite would begin with every leaf of the source.
_FIRST: Final = literal_column("0", BigInteger)
_PLACED: Final[Select[Any]] = (
    select(log_entries.c.signature_id.label("of"), log_entries.c.entry, *_LEAF)
    .select_from(log_entries)
    .join(
        log_leaves,
        (log_leaves.c.source == "signature") & (log_leaves.c.number == log_entries.c.seq + _FIRST),
    )
    .where(any_of(log_entries.c.signature_id, "names"))
)
_PLACED_ADDITIONS: Final[Select[Any]] = (
    select(log_additions.c.identity.label("of"), log_additions.c.entry, *_LEAF)
    .select_from(log_additions)
    .join(
        log_leaves,
        (log_leaves.c.source == "addition") & (log_leaves.c.number == log_additions.c.seq + _FIRST),
    )
    .where(any_of(log_additions.c.identity, "names"))
)
_PROMISES: Final = (
    select(log_promises, key_versions.c.public_key)
    .join(
        key_versions,
        (key_versions.c.key == log_promises.c.key)
        & (key_versions.c.version == log_promises.c.version),
    )
    .where(
        log_promises.c.tree_id == bindparam("tree"),
        any_of(log_promises.c.position, "positions"),
        key_versions.c.ever_compromised.is_(False),
    )
    .order_by(log_promises.c.position, log_promises.c.integrated_time.desc())
)
_LEAF_HASHES: Final = (
    select(log_leaves.c.hash)
    .where(
        log_leaves.c.tree_id == bindparam("tree"),
        log_leaves.c.position >= bindparam("start"),
        log_leaves.c.position < bindparam("end"),
    )
    .order_by(log_leaves.c.position)
)
_NODE_HASHES: Final = (
    select(log_nodes.c.hash)
    .where(
        log_nodes.c.tree_id == bindparam("tree"),
        log_nodes.c.level == bindparam("level"),
        log_nodes.c.position >= bindparam("start"),
        log_nodes.c.position < bindparam("end"),
    )
    .order_by(log_nodes.c.position)
)
_ENTRIES: Final = (
    select(
        log_leaves.c.source,
        func.coalesce(log_entries.c.entry, log_additions.c.entry, audit_events.c.body).label(
            "entry"
        ),
    )
    .outerjoin(
        log_entries,
        (log_leaves.c.source == "signature") & (log_entries.c.seq == log_leaves.c.number),
    )
    .outerjoin(
        log_additions,
        (log_leaves.c.source == "addition") & (log_additions.c.seq == log_leaves.c.number),
    )
    .outerjoin(
        audit_events,
        (log_leaves.c.source == "audit") & (audit_events.c.seq == log_leaves.c.number),
    )
    .where(
        log_leaves.c.tree_id == bindparam("tree"),
        log_leaves.c.position >= bindparam("start"),
        log_leaves.c.position < bindparam("end"),
    )
    .order_by(log_leaves.c.position)
)


# No index leads from a signature to its record: it would cost every signing, and serve those
# who replay old ones. The newest first, as that is what clients have just made.
_RECORDED: Final = (
    select(signatures.c.seq)
    .where(
        signatures.c.key == bindparam("by"),
        signatures.c.version == bindparam("number"),
        signatures.c.signature.in_(bindparam("forms", expanding=True)),
    )
    .order_by(signatures.c.seq.desc())
    .limit(1)
)
_CHECKPOINTS: Final = (
    HEADS.where(
        log_checkpoints.c.tree_id == bindparam("tree"), log_checkpoints.c.size > bindparam("after")
    )
    .order_by(log_checkpoints.c.size)
    .limit(bindparam("most"))
)


def _missing(table: Table, source: str) -> Select[Any]:
    """Count the rows of a table that have no leaf and wait for none."""
    return (
        select(func.count())
        .select_from(table)
        .outerjoin(
            log_leaves, (log_leaves.c.source == source) & (log_leaves.c.number == table.c.seq)
        )
        .outerjoin(log_queue, (log_queue.c.source == source) & (log_queue.c.number == table.c.seq))
        .where(log_leaves.c.number.is_(None), log_queue.c.number.is_(None))
    )


_UNACCOUNTED: Final = MappingProxyType(
    {
        LogName.SIGNATURES: (
            _missing(log_entries, "signature"),
            _missing(log_additions, "addition"),
        ),
        LogName.AUDIT: (_missing(audit_events, "audit"),),
    }
)


class StoredLogReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, log: LogName) -> SignedHead | None:
        row = self._database.read(
            lambda connection: connection.execute(_NEWEST, {"log": log.value}).one_or_none()
        )
        return None if row is None else head_from(row)

    def head(self, tree_id: int, size: int) -> SignedHead | None:
        values = {"tree": tree_id, "sizes": [size]}
        row = self._database.read(lambda c: c.execute(_HEADS_OF, values).one_or_none())
        return None if row is None else head_from(row)

    def trees(self, log: LogName) -> Sequence[Tree]:
        found = self._database.read(
            lambda connection: connection.execute(_TREES, {"log": log.value}).all()
        )
        return [tree_from(row) for row in found]

    def placed(self, signature_ids: Sequence[str]) -> Mapping[str, Placement]:
        return self._placed(_PLACED, signature_ids)

    def placed_additions(self, identities: Sequence[str]) -> Mapping[str, Placement]:
        return self._placed(_PLACED_ADDITIONS, identities)

    def _placed(self, query: Select[Any], names: Sequence[str]) -> Mapping[str, Placement]:
        if not names:
            return {}
        return self._database.read(partial(_placed, query, list(names)))

    def checkpoints(self, tree_id: int, *, after: int, limit: int) -> Sequence[SignedHead]:
        values = {"tree": tree_id, "after": after, "most": limit}
        found = self._database.read(
            lambda connection: connection.execute(_CHECKPOINTS, values).all()
        )
        return [head_from(row) for row in found]

    def unaccounted(self, log: LogName) -> int:
        return self._database.read(
            lambda connection: sum(
                int(connection.execute(query).scalar_one()) for query in _UNACCOUNTED[log]
            )
        )

    def has_signature(self, key: str, version: int, forms: Sequence[bytes]) -> bool:
        values = {"by": key, "number": version, "forms": list(forms)}
        return self._database.read(
            lambda connection: connection.execute(_RECORDED, values).first() is not None
        )

    def hashes(self, tree_id: int, *, level: int, start: int, count: int) -> Sequence[bytes]:
        values = {"tree": tree_id, "start": start, "end": start + count}
        if level:
            values["level"] = level
        query = _NODE_HASHES if level else _LEAF_HASHES
        found = self._database.read(lambda connection: rows(connection, query, values))
        return [row.hash for row in found]

    def entries(self, tree_id: int, *, start: int, count: int) -> Sequence[bytes]:
        values = {"tree": tree_id, "start": start, "end": start + count}
        found = self._database.read(lambda connection: connection.execute(_ENTRIES, values).all())
        return [audit_leaf(row.entry) if row.source == "audit" else row.entry for row in found]


def _placed(
    query: Select[Any], names: list[str], connection: Connection
) -> Mapping[str, Placement]:
    found = rows(connection, query, {"names": names})
    heads: dict[tuple[int, int], SignedHead] = {}
    promises: dict[tuple[int, int], Promise] = {}
    for tree in {row.tree_id for row in found}:
        mine = [row for row in found if row.tree_id == tree]
        sizes = sorted({row.covered_by for row in mine if row.covered_by is not None})
        for head in rows(connection, _HEADS_OF, {"tree": tree, "sizes": sizes}):
            heads[tree, head.size] = head_from(head)
        positions = [row.position for row in mine]
        for kept in rows(connection, _PROMISES, {"tree": tree, "positions": positions}):
            # The first that was made, as it comes last.
            promises[tree, kept.position] = Promise(
                kept.integrated_time, kept.signature, sha256(kept.public_key).digest()
            )
    return {row.of: _placement(row, heads, promises) for row in found}


def _placement(
    row: Row[Any],
    heads: Mapping[tuple[int, int], SignedHead],
    promises: Mapping[tuple[int, int], Promise],
) -> Placement:
    covered = row.covered_by is not None
    return Placement(
        of=row.of,
        tree_id=row.tree_id,
        position=row.position,
        entry=row.entry,
        integrated_at=from_millis(row.at),
        head=heads[row.tree_id, row.covered_by] if covered else None,
        promise=promises.get((row.tree_id, row.position)),
    )


def head_from(row: Row[Any]) -> SignedHead:
    return SignedHead(
        tree_id=row.tree_id,
        size=row.size,
        root=row.root,
        key=row.key,
        version=row.version,
        public_key=row.public_key,
        note=row.note,
        rekor_note=row.rekor_note,
    )
