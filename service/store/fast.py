"""Runs the statements of the signing cycle without SQLAlchemy's machinery, where that can be.

On SQLite a statement costs the database some ten microseconds, and SQLAlchemy about eight times
as much. So here each statement is compiled once by SQLAlchemy's own compiler, with its types'
own conversions, and then goes to the driver as it is. PostgreSQL, where a round trip costs more
than either, gets the statement in the ordinary way.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

_Convert = Callable[[Any], Any]

_DIALECT: Final = sqlite.dialect()


@dataclass(frozen=True, slots=True)
class _Compiled:
    """`statement` is kept so that nothing else can get its `id`."""

    statement: ClauseElement
    text: str
    parameters: tuple[tuple[str, _Convert | None], ...]
    fixed: Mapping[str, Any]
    row: Callable[..., Any] | None
    columns: tuple[tuple[int, _Convert], ...]
    """Those whose values the driver does not give as they are meant."""


# setdefault is atomic, and to compile the same twice does no harm.
_compiled: Final[dict[int, _Compiled]] = {}


def rows(
    connection: Connection, statement: ClauseElement, values: Mapping[str, Any] | None = None
) -> Sequence[Any]:
    """Return all rows of a statement that is a constant of its module, and how it changes them.

    Columns are attributes, as in SQLAlchemy's rows; statements that return none give none.
    """
    if connection.dialect.name == "postgresql":
        result = connection.execute(statement, values or {})  # type: ignore[call-overload]
        return cast("Sequence[Any]", result.all() if result.returns_rows else ())
    return _run(raw(connection), statement, values or {})[0]


def changed(connection: Connection, statement: ClauseElement, values: Mapping[str, Any]) -> int:
    """As `rows`, for a statement of which only the number of changed rows is asked."""
    if connection.dialect.name == "postgresql":
        result = connection.execute(statement, values)  # type: ignore[call-overload]
        return int(result.rowcount)
    return _run(raw(connection), statement, values)[1]


def raw(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _run(
    driver: sqlite3.Connection, statement: ClauseElement, values: Mapping[str, Any]
) -> tuple[Sequence[Any], int]:
    compiled = _compiled.get(id(statement))
    if compiled is None:
        compiled = _compiled.setdefault(id(statement), _compile(statement))
    fixed = compiled.fixed
    parameters = []
    for name, convert in compiled.parameters:
        value = values[name] if name in values else fixed[name]
        parameters.append(value if convert is None else convert(value))
    cursor = driver.execute(compiled.text, parameters)
    make = compiled.row
    if make is None:
        return (), cursor.rowcount
    found = cursor.fetchall()
    if not compiled.columns:
        return [make(*row) for row in found], cursor.rowcount
    return [make(*_converted(row, compiled.columns)) for row in found], cursor.rowcount


def _converted(row: Sequence[Any], columns: Sequence[tuple[int, _Convert]]) -> Sequence[Any]:
    values = list(row)
    for number, convert in columns:
        values[number] = convert(values[number])
    return values


def _compile(statement: ClauseElement) -> _Compiled:
    compiled = cast("SQLCompiler", statement.compile(dialect=_DIALECT))
    binds = cast("Mapping[str, _Convert]", compiled._bind_processors)  # noqa: SLF001 -- as the
    result = compiled._result_columns  # noqa: SLF001 -- execution of SQLAlchemy does
    columns = []
    for number, column in enumerate(result):
        # None stands for the type of the value that the driver found, which SQLite's do not need.
        convert = column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
        if convert is not None:
            columns.append((number, cast("_Convert", convert)))
    names = [column.keyname for column in result]
    return _Compiled(
        statement,
        str(compiled),
        tuple((name, binds.get(name)) for name in compiled.positiontup or ()),
        compiled.params,
        namedtuple("Row", names) if names else None,  # noqa: PYI024 -- its names are data
        tuple(columns),
    )
