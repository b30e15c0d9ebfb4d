"""The few expressions that SQLite and PostgreSQL spell differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Connection,
    Dialect,
    Integer,
    Text,
    bindparam,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from service.store.fast import rows


class now_ms(FunctionElement[int]):  # noqa: N801  # reads as the SQL function that it is
    """The database's own clock, in milliseconds since the epoch: what leases are measured by."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _now_sqlite(element: now_ms, compiler: SQLCompiler, **options: Any) -> str:
    # 2440587.5 is the Julian day of 1970-01-01T00:00Z.
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _now_postgresql(element: now_ms, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


_NOW: Final = select(now_ms().label("now"))


def database_now(connection: Connection) -> int:
    return int(rows(connection, _NOW)[0].now)


class _TextList(TypeDecorator[Sequence[str]]):
    """A list as one parameter, so that statements are compiled once for any length."""

    impl = Text
    cache_ok = True
    element: TypeEngine[Any] = Text()

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(self.element))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        listed = list(value or ())
        return listed if dialect.name == "postgresql" else orjson.dumps(listed).decode()


class _NumberList(_TextList):
    cache_ok = True
    element = BigInteger()


class _AnyOf(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        # Otherwise it is compared with 1 on SQLite, and no index can be used.
        return self


@compiles(_AnyOf, "sqlite")
def _any_of_sqlite(element: _AnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    values = f"SELECT value FROM json_each({values})"  # noqa: S608  # a compiled clause
    return f"({column} IN ({values}))"


@compiles(_AnyOf, "postgresql")
def _any_of_postgresql(element: _AnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} = ANY({values}))"


def any_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return `column` is one of those in the list parameter `name`, however many they are."""
    numbers = isinstance(column.type, Integer)
    return _AnyOf(column, bindparam(name, type_=_NumberList() if numbers else _TextList()))
