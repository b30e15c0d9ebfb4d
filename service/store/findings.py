"""Findings: opened once for each code and subject, closed once, kept for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, bindparam, select, update

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis
from service.domain.findings import Finding, NewFinding, Severity
from service.domain.ids import new_id
from service.domain.pages import Page, PageRequest
from service.ports.store import FindingFilter
from service.store.audit import record
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.paging import limit_of, number_after, page_of
from service.store.rows import dump
from service.store.schema import STILL_OPEN, findings
from service.store.sql import database_now

ACTOR: Final = "sealwright"  # findings are ours, whoever's deed has led to them

_OPEN: Final = select(findings.c.id).where(
    findings.c.code == bindparam("code"), findings.c.subject == bindparam("subject"), STILL_OPEN
)
_INSERT: Final = BulkInsert(
    findings,
    ("id", "code", "severity", "subject", "evidence", "opened_at"),
    unless=("code", "subject"),
    unless_where=STILL_OPEN,
)
_INSERTED: Final = select(findings.c.id).where(findings.c.id == bindparam("id"))
_CLOSE: Final = (
    update(findings)
    .where(
        findings.c.code == bindparam("which_code"),
        findings.c.subject == bindparam("which_subject"),
        STILL_OPEN,
    )
    .values(closed_at=bindparam("now"))
    .returning(findings.c.id)
)


def open_finding(connection: Connection, found: NewFinding, *, now: int) -> bool:
    """Open it within the caller's transaction; return False where it is open already."""
    which = {"code": found.code, "subject": found.subject}
    if connection.execute(_OPEN, which).first() is not None:
        return False
    new = new_id("fnd")
    values = {
        "id": new,
        "severity": found.severity.value,
        "evidence": dump(found.evidence),
        "opened_at": now,
        **which,
    }
    _INSERT(connection, [values])
    if connection.execute(_INSERTED, {"id": new}).first() is None:
        return False  # another transaction was faster
    details = {"evidence": found.evidence, "id": new, "severity": found.severity}
    _record(connection, "finding.opened", found.subject, {"code": found.code, **details}, now)
    return True


def close_finding(connection: Connection, code: str, subject: str, *, now: int) -> bool:
    """Close it within the caller's transaction; return False where none is open."""
    values = {"which_code": code, "which_subject": subject, "now": now}
    closed = connection.execute(_CLOSE, values).scalars().all()
    for each in closed:
        _record(connection, "finding.closed", subject, {"code": code, "id": each}, now)
    return bool(closed)


class StoredFindings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, found: NewFinding) -> bool:
        def run(connection: Connection) -> bool:
            return open_finding(connection, found, now=database_now(connection))

        return self._database.write(run)

    def close(self, code: str, subject: str) -> bool:
        def run(connection: Connection) -> bool:
            return close_finding(connection, code, subject, now=database_now(connection))

        return self._database.write(run)

    def list(self, wanted: FindingFilter, page: PageRequest) -> Page[Finding]:
        """Newest first."""
        query = select(findings)
        if wanted.is_open is not None:
            still_open = findings.c.closed_at.is_(None)
            query = query.where(still_open if wanted.is_open else ~still_open)
        if wanted.code is not None:
            query = query.where(findings.c.code == wanted.code)
        if wanted.severity is not None:
            query = query.where(findings.c.severity == wanted.severity.value)
        after = number_after(page)
        if after is not None:
            query = query.where(findings.c.seq < after)
        query = query.order_by(findings.c.seq.desc()).limit(limit_of(page) + 1)
        rows: Sequence[Row[Any]] = self._database.read(lambda c: c.execute(query).all())
        return page_of(rows, page, _finding, lambda row: int(row.seq))


def _record(
    connection: Connection, action: str, subject: str, details: dict[str, object], now: int
) -> None:
    record(connection, [AuditEvent(action, ACTOR, subject, details)], now=now)


def _finding(row: Row[Any]) -> Finding:
    return Finding(
        id=row.id,
        code=row.code,
        severity=Severity(row.severity),
        subject=row.subject,
        evidence=orjson.loads(row.evidence),
        opened_at=from_millis(row.opened_at),
        closed_at=None if row.closed_at is None else from_millis(row.closed_at),
    )
