"""Whether the store can be written now, and its schema is the one that this code knows."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Select, Text, column, select, table

from service.domain.errors import StoreUnavailableError
from service.store.database import Database
from service.store.schema import HEAD

_REVISION: Final[Select[str]] = select(column("version_num", Text)).select_from(
    table("alembic_version")
)


class StoredHealth:
    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self) -> None:
        # Asked within a write transaction: a lock that nobody lets go of is found out too.
        found = self._database.write(revision)
        if found != HEAD:
            raise StoreUnavailableError(
                f"the database has schema {found or 'none'}, this program needs {HEAD}"
            )


def revision(connection: Connection) -> str | None:
    found = connection.execute(_REVISION).scalars().all()
    return ", ".join(sorted(str(each) for each in found)) or None
