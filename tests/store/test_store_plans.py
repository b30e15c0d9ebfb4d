"""Lists as parameters must reach the indexes: a scan of the record would grow with its age."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.sql import ClauseElement

from service.store import (
    completion,
    cosignatures,
    idempotency,
    jobs,
    journal,
    log_reads,
    log_trees,
    orders,
    outbox,
    outbox_lists,
    timestamps,
)
from service.store.sqlite import connect

MODULES = (
    completion,
    cosignatures,
    idempotency,
    jobs,
    journal,
    log_reads,
    log_trees,
    orders,
    outbox,
    outbox_lists,
    timestamps,
)
# Parked orders are few and asked for by hand; `_ATTACHMENTS` is only the beginning of queries.
BY_HAND = {
    "_PARKED",
    "_ATTACHMENTS",
    "SIGNATURES",
    "QUEUED_SIGNATURES",
    "QUEUED_EVENTS",
    "HEADS",
    "TREES",
    "_TREES",  # a log has had one tree, or a few
    "_RECORDED",  # asked for by foreign entries of our own keys alone, and said so there
    "_REPOSITORIES",  # for a monitor, which goes through registries meanwhile
    "_COVERING",  # a part of `_PLACED`
}

# A search by nothing but one of these goes through a part of the table that grows with it.
FEW_VALUES = re.compile(r"\((source|state|kind|format|standing)=\?\)$")


def statements() -> Iterator[tuple[str, ClauseElement]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, ClauseElement) and name not in BY_HAND:
                compiles = getattr(value, "is_select", False) or getattr(value, "is_dml", False)
                if compiles:
                    yield f"{module.__name__}.{name}", value


@pytest.mark.parametrize(("name", "statement"), [pytest.param(*s, id=s[0]) for s in statements()])
def test_a_statement_scans_no_table(
    sqlite_store_url: str, name: str, statement: ClauseElement
) -> None:
    # The dialect's own compiler: SQLite has no FOR UPDATE, and leaves it out.
    compiled = statement.compile(dialect=dialect.dialect())
    connection = connect(Path(sqlite_store_url.removeprefix("sqlite:///")), read_only=True)
    try:
        rows = connection.execute(
            f"EXPLAIN QUERY PLAN {compiled}", ["[]"] * str(compiled).count("?")
        ).fetchall()
    finally:
        connection.close()
    plan = [row[3] for row in rows if "json_each" not in row[3]]
    assert [step for step in plan if step.startswith("SCAN") or FEW_VALUES.search(step)] == [], name


def test_the_plans_of_many_statements_are_checked() -> None:
    assert len(list(statements())) >= 30
