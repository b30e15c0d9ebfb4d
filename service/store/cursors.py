"""How far work that goes round and round has come."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import bindparam, select

from service.store.database import Database
from service.store.inserts import upsert
from service.store.schema import cursors

_POSITION: Final = select(cursors.c.position).where(cursors.c.name == bindparam("which"))


def _moving(statement: Any) -> Any:
    new = statement.values(name=bindparam("name"), position=bindparam("position"))
    return new.on_conflict_do_update(
        index_elements=("name",), set_={"position": new.excluded.position}
    )


_MOVE: Final = upsert(cursors, _moving)


class StoredCursors:
    """service.ports.upkeep.Cursors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def position(self, name: str) -> int:
        found = self._database.read(
            lambda c: c.execute(_POSITION, {"which": name}).scalar_one_or_none()
        )
        return 0 if found is None else int(found)

    def move(self, name: str, position: int) -> None:
        values = {"name": name, "position": position}
        self._database.write(lambda c: c.execute(_MOVE(c), values).rowcount)
