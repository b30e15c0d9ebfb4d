"""The indexes of the schema over some of a table's rows: for migrations and their comparison.

Statements need none of them. SQLAlchemy asks each dialect which options an index has there, so
that a process on SQLite would have the whole of PostgreSQL's (3 MB) in its memory for these.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Index

from service.store.schema import (
    IN_FORCE,
    OPEN,
    OPEN_JOB,
    OPEN_TREE,
    PARKED,
    STANDING,
    STILL_OPEN,
    WAITING,
    certificate_chains,
    findings,
    intents,
    jobs,
    log_trees,
    metadata,
    outbox,
    signatures,
)

__all__ = ["metadata"]


def _index(
    name: str, where: ColumnElement[bool], *columns: Column[Any], unique: bool = False
) -> None:
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_index(
    "ux_certificate_chains_in_force",
    IN_FORCE,
    certificate_chains.c.key,
    certificate_chains.c.version,
    unique=True,
)
_index("ix_intents_open", OPEN, intents.c.statement_hash)
_index("ux_signatures_standing", STANDING, signatures.c.statement_hash, unique=True)
_index("ix_outbox_waiting", WAITING, outbox.c.due_at)
_index("ix_outbox_parked", PARKED, outbox.c.id)
_index("ix_jobs_due", OPEN_JOB, jobs.c.due_at)
_index("ix_jobs_open", OPEN_JOB, jobs.c.credential_id)
_index("ux_findings_open", STILL_OPEN, findings.c.code, findings.c.subject, unique=True)
_index("ux_log_trees_open", OPEN_TREE, log_trees.c.log, unique=True)
