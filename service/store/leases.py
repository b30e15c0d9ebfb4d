"""Named leases: locks that survive the crash of their holder by running out."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Insert, bindparam, update

from service.domain.errors import LeaseLostError
from service.ports.store import Lease
from service.store.database import Database
from service.store.inserts import upsert
from service.store.schema import leases
from service.store.sql import now_ms

_MILLIS: Final = bindparam("millis", type_=leases.c.lease_until.type)


def _acquiring(statement: Any) -> Insert:
    """Take what is free or ours. The row outlives a release, so that `fencing` only grows."""
    new = statement.values(
        name=bindparam("name"),
        owner=bindparam("owner"),
        fencing=1,
        lease_until=now_ms() + _MILLIS,
    )
    taken: Insert = new.on_conflict_do_update(
        index_elements=("name",),
        set_={
            "owner": new.excluded.owner,
            "fencing": leases.c.fencing + 1,
            "lease_until": new.excluded.lease_until,
        },
        where=(leases.c.lease_until <= now_ms()) | (leases.c.owner == new.excluded.owner),
    ).returning(leases.c.fencing)
    return taken


_ACQUIRE: Final = upsert(leases, _acquiring)
_HELD: Final = (
    leases.c.name == bindparam("which"),
    leases.c.owner == bindparam("holder"),
    leases.c.fencing == bindparam("fence"),
)
_RENEW: Final = (
    update(leases)
    .where(*_HELD, leases.c.lease_until >= now_ms())
    .values(lease_until=now_ms() + _MILLIS)
)
_RELEASE: Final = update(leases).where(*_HELD).values(owner=None, lease_until=0)


class StoredLeases:
    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, name: str, *, owner: str, seconds: float) -> Lease | None:
        """The same owner may take it again; the fence then moves past its earlier self."""
        values = {"name": name, "owner": owner, "millis": round(seconds * 1000)}

        def run(connection: Connection) -> Lease | None:
            fencing = connection.execute(_ACQUIRE(connection), values).scalar_one_or_none()
            return None if fencing is None else Lease(name, owner, fencing)

        return self._database.write(run)

    def renew(self, lease: Lease, *, seconds: float) -> None:
        values = {**_values(lease), "millis": round(seconds * 1000)}
        if not self._database.write(lambda connection: connection.execute(_RENEW, values).rowcount):
            raise LeaseLostError

    def release(self, lease: Lease) -> None:
        values = _values(lease)
        self._database.write(lambda connection: connection.execute(_RELEASE, values).rowcount)


def _values(lease: Lease) -> dict[str, Any]:
    return {"which": lease.name, "holder": lease.owner, "fence": lease.fencing}
