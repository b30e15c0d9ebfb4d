"""Statements that go to SQLite's driver as they are give what SQLAlchemy gives."""

from __future__ import annotations

from typing import Any, Final

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    LargeBinary,
    bindparam,
    literal,
    literal_column,
    select,
)

from service.store import fast
from service.store.database import Database
from service.store.schema import leases
from service.store.sql import any_of

_TYPED: Final = select(
    literal_column("1", Boolean).label("flag"),
    literal_column("NULL", Boolean).label("unknown"),
    bindparam("number", type_=BigInteger).label("number"),
    literal(b"\x00\xff", LargeBinary).label("raw"),
    bindparam("text").label("text"),
)
_SOME: Final = (
    select(leases.c.name, leases.c.fencing)
    .where(any_of(leases.c.name, "names"))
    .order_by(leases.c.name)
)
_RAISE: Final = leases.update().values(fencing=leases.c.fencing + bindparam("by"))
_RETURNING: Final = _RAISE.where(leases.c.name == bindparam("which")).returning(leases.c.fencing)


@pytest.fixture
def filled(store_url: str) -> Any:
    database = Database(store_url)
    database.write(
        lambda connection: (
            connection.execute(
                leases.insert(),
                [
                    {"name": name, "owner": None, "fencing": number, "lease_until": 0}
                    for number, name in enumerate(("a", "b", "c"))
                ],
            ).rowcount
        )
    )
    yield database
    database.close()


def both(connection: Connection, statement: Any, values: dict[str, Any]) -> tuple[Any, Any]:
    ours = fast.rows(connection, statement, values)
    theirs = connection.execute(statement, values).mappings().all()
    return [row._asdict() for row in ours], [dict(row) for row in theirs]


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        pytest.param(_TYPED, {"number": 1 << 40, "text": "é"}, id="types"),
        pytest.param(_SOME, {"names": ["a", "c", "x"]}, id="a list as a parameter"),
        pytest.param(_SOME, {"names": []}, id="an empty list"),
    ],
)
def test_rows_and_their_types_are_the_same(
    filled: Database, statement: Any, values: dict[str, Any]
) -> None:
    ours, theirs = filled.read(lambda connection: both(connection, statement, values))
    assert ours == theirs
    assert [[type(value) for value in row.values()] for row in ours] == [
        [type(value) for value in row.values()] for row in theirs
    ]


def test_a_change_tells_how_many_rows_it_has_changed(filled: Database) -> None:
    assert filled.write(lambda connection: fast.changed(connection, _RAISE, {"by": 5})) == 3
    values = {"by": 2, "which": "b"}
    [row] = filled.write(lambda connection: fast.rows(connection, _RETURNING, values))
    assert row.fencing == 8
