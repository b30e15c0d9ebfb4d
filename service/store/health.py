"""Whether the store can be written now, and this program works with its schema.

A program is named by the revision that its own schema is (HEAD). It works with that one, and with a
newer one that says so: whoever migrates records the oldest program that still works. It does not
work with an older one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeGuard

from sqlalchemy import Connection, Select, Text, column, select, table

from service.domain.errors import SchemaUnsupportedError
from service.store.database import Database
from service.store.schema import HEAD, OLDEST_PROGRAM, schema_programs

_REVISION: Final[Select[str]] = select(column("version_num", Text)).select_from(
    table("alembic_version")
)
_OURS: Final = re.compile("r[0-9]{4}")  # so that the order of text is that of time


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The schema that a database has, and the oldest program that works with it, where it says so."""

    revision: str | None
    oldest_program: str | None

    @property
    def is_newer(self) -> bool:
        """Whether a newer program than this one has migrated it."""
        return _is_ours(self.revision) and self.revision > HEAD

    @property
    def program(self) -> str:
        return HEAD

    @property
    def is_supported(self) -> bool:
        try:
            self.require_support()
        except SchemaUnsupportedError:
            return False
        return True

    def require_support(self) -> None:
        """Raises SchemaUnsupportedError unless this program works with it."""
        if self.revision == HEAD:
            return
        if not self.is_newer:
            raise SchemaUnsupportedError(
                f"the database has schema {self.revision or 'none'}, this program needs {HEAD}"
            )
        if not _is_ours(self.oldest_program) or self.oldest_program > HEAD:
            raise SchemaUnsupportedError(
                f"the database has schema {self.revision}, which needs a program of "
                f"{self.oldest_program or self.revision} or newer; this one is of {HEAD}"
            )


def _is_ours(revision: str | None) -> TypeGuard[str]:
    return revision is not None and _OURS.fullmatch(revision) is not None


class StoredHealth:
    def __init__(self, database: Database) -> None:
        self._database = database

    def check(self) -> None:
        # Asked within a write transaction: a lock that nobody lets go of is found out too.
        self._database.write(schema_state).require_support()

    def schema(self) -> SchemaState:
        """Return what the database says of its schema, without writing.

        Raises:
            SchemaUnsupportedError: it was never migrated.
            StoreUnavailableError
        """
        return self._database.read(schema_state)


def schema_state(connection: Connection) -> SchemaState:
    state = SchemaState(revision(connection), OLDEST_PROGRAM)
    if not state.is_newer:
        # There may be no table to tell of older programs, and none of them is asked for.
        return state if state.revision == HEAD else SchemaState(state.revision, None)
    return SchemaState(
        state.revision, connection.execute(select(schema_programs.c.oldest)).scalars().first()
    )


def revision(connection: Connection) -> str | None:
    found = connection.execute(_REVISION).scalars().all()
    return ", ".join(sorted(str(each) for each in found)) or None
