"""Finding audit events. What is searched is an index; what is answered are the events' bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, select

from service.domain.audit import AuditFilter, LoggedEvent
from service.domain.clock import from_millis, to_millis
from service.domain.pages import Page, PageRequest
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.paging import limit_of, number_after, page_of
from service.store.schema import audit_events, audit_index, log_leaves

_INSERT: Final = BulkInsert(audit_index, ("seq", "at", "action", "actor", "subject"))
_EVENTS: Final[Select[Any]] = (
    select(audit_index, audit_events.c.body, log_leaves.c.position)
    .join(audit_events, audit_events.c.seq == audit_index.c.seq)
    .join(log_leaves, (log_leaves.c.source == "audit") & (log_leaves.c.number == audit_index.c.seq))
)


def index_events(connection: Connection, events: Sequence[tuple[int, int, bytes]]) -> None:
    """Let events be found, given their numbers, times and bodies, as they enter their log."""
    rows = []
    for number, at, body in events:
        event = orjson.loads(body)
        # Of an event that was brought back as a hash, nothing else is known.
        action, actor, subject = (event.get(name, "") for name in ("action", "actor", "subject"))
        rows.append((number, at, action, actor, subject))
    _INSERT.tuples(connection, rows)


class StoredAuditSearch:
    def __init__(self, database: Database) -> None:
        self._database = database

    def search(self, wanted: AuditFilter, page: PageRequest) -> Page[LoggedEvent]:
        query = _EVENTS.where(*_conditions(wanted))
        after = number_after(page)
        if after is not None:
            query = query.where(audit_index.c.seq < after)
        query = query.order_by(audit_index.c.seq.desc()).limit(limit_of(page) + 1)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, page, _event, lambda row: int(row.seq))


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    columns = audit_index.c
    found: list[ColumnElement[bool]] = []
    if wanted.action is not None:
        found.append(columns.action == wanted.action)
    if wanted.actor is not None:
        found.append(columns.actor == wanted.actor)
    if wanted.subject is not None:
        found.append(columns.subject == wanted.subject)
    if wanted.since is not None:
        found.append(columns.at >= to_millis(wanted.since))
    if wanted.until is not None:
        found.append(columns.at < to_millis(wanted.until))
    return found


def _event(row: Row[Any]) -> LoggedEvent:
    return LoggedEvent(
        index=row.position,
        at=from_millis(row.at),
        action=row.action,
        actor=row.actor,
        subject=row.subject,
        body=row.body,
    )
