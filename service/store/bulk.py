"""Inserts of many rows in one go, the fastest way that each database has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BindParameter,
    ColumnElement,
    Connection,
    Table,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from service.store.fast import raw
from service.store.inserts import insert_into


class BulkInsert:
    """INSERT of given columns of a table, for any number of rows.

    SQLite steps through one prepared statement. PostgreSQL gets each column as one array
    and unnests them: one round trip and one plan for a thousand rows.
    """

    def __init__(
        self,
        table: Table,
        columns: Sequence[str],
        *,
        unless: Sequence[str] = (),
        unless_where: ColumnElement[bool] | None = None,
    ) -> None:
        """Of two columns or more; rows that the unique index over `unless` refuses are left out.

        The latter on PostgreSQL only: SQLite has one writer at a time, which has just looked.
        """
        self._columns: Final = tuple(columns)
        self._values: Final = itemgetter(*columns)
        compiled = SQLCompiler(sqlite.dialect(), table.insert(), column_keys=self._columns)
        # Handed to the driver as it is: SQLAlchemy's own way spends more on a row than SQLite.
        self._stepped: Final = str(compiled)
        order = [self._columns.index(name) for name in compiled.positiontup or ()]
        self._reorder: Final = None if order == sorted(order) else itemgetter(*order)
        self._table: Final = table
        self._unless: Final = unless
        self._unless_where: Final = unless_where

    @cached_property
    def _unnesting(self) -> Any:
        arrays: list[ColumnElement[Any]] = [_array(self._table, name) for name in self._columns]
        rows = func.unnest(*arrays).table_valued(*self._columns).render_derived()
        chosen = select(*(rows.c[name] for name in self._columns))
        unnesting = insert_into(self._table, "postgresql").from_select(self._columns, chosen)
        if not self._unless:
            return unnesting
        return unnesting.on_conflict_do_nothing(
            index_elements=self._unless, index_where=self._unless_where
        )

    def __call__(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        self.tuples(connection, [self._values(row) for row in rows])

    def tuples(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """As the call, for rows whose values stand in the order of the columns."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            arrays = zip(*rows, strict=True)
            values = {n: list(v) for n, v in zip(self._columns, arrays, strict=True)}
            connection.execute(self._unnesting, values)
        else:
            # The table may have the columns in another order.
            given = rows if self._reorder is None else [self._reorder(row) for row in rows]
            raw(connection).executemany(self._stepped, given)


def _array(table: Table, name: str) -> BindParameter[Any]:
    return bindparam(name, type_=ARRAY(table.c[name].type))
