"""What minutes are made from: events by what they are about, those included that have just been
recorded and that no tree holds yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, bindparam, literal, select

from service.domain.clock import from_millis
from service.domain.log import LogName
from service.ports.minutes import RecordedEvent
from service.store.database import Database
from service.store.schema import audit_events, audit_index, log_leaves, log_queue
from service.store.sql import any_of

MAX_WAITING: Final = 10_000  # what a log that stands still may have queued; the newest are read

_LOGGED: Final = (
    select(audit_events, log_leaves.c.position)
    .join(audit_index, audit_index.c.seq == audit_events.c.seq)
    .outerjoin(
        log_leaves,
        (log_leaves.c.source == literal("audit")) & (log_leaves.c.number == audit_events.c.seq),
    )
    .where(any_of(audit_index.c.subject, "subjects"))
    .order_by(audit_events.c.seq.desc())
    .limit(bindparam("most"))
)
_WAITING: Final = (
    select(audit_events, literal(None).label("position"))
    .join(log_queue, log_queue.c.number == audit_events.c.seq)
    .where(log_queue.c.log == LogName.AUDIT.value)
    .order_by(log_queue.c.seq.desc())
    .limit(MAX_WAITING)
)


class StoredCustodyRecord:
    def __init__(self, database: Database) -> None:
        self._database = database

    def about(self, subjects: Sequence[str], *, limit: int) -> Sequence[RecordedEvent]:
        wanted = frozenset(subjects)

        def run(connection: Connection) -> dict[int, Row[Any]]:
            # The queue first: what moves from there into the log meanwhile is then seen twice,
            # and never not at all.
            waiting = connection.execute(_WAITING).all()
            found = {row.seq: row for row in waiting if _subject(row) in wanted}
            values = {"subjects": sorted(wanted), "most": limit}
            found.update((row.seq, row) for row in connection.execute(_LOGGED, values))
            return found

        rows = self._database.read(run)
        latest = sorted(rows)[-limit:]
        return [_event(rows[seq]) for seq in latest]


def _subject(row: Row[Any]) -> object:
    return orjson.loads(row.body)["subject"]


def _event(row: Row[Any]) -> RecordedEvent:
    return RecordedEvent(row.seq, row.position, from_millis(row.at), row.body)
