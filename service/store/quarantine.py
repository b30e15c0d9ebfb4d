"""Modules in quarantine: a row for each that ever was, and how often it came back soon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, update

from service.domain.audit import AuditEvent
from service.ports.metrics import HSM_QUARANTINED, Reading
from service.ports.store import Quarantined
from service.store.audit import record
from service.store.bulk import BulkInsert
from service.store.database import Database
from service.store.schema import quarantines
from service.store.sql import database_now

SOON_MILLIS: Final = 15_000  # work that hangs though a probe came back is back within seconds
PATIENT_TIMES: Final = 3  # so often in a row it may be chance
LONGEST_MILLIS: Final = 60_000
_MILLIS: Final = 1000

_ACTOR: Final = "sealwright"

_ROW: Final = (
    quarantines.c.installation == bindparam("where"),
    quarantines.c.module == bindparam("which"),
)
_FIND: Final = select(quarantines).where(*_ROW).with_for_update()
_STANDING: Final = select(quarantines).where(
    quarantines.c.installation == bindparam("where"), quarantines.c.lifted_at.is_(None)
)
_EVER: Final = select(quarantines).where(quarantines.c.installation == bindparam("where"))
_COLUMNS: Final = ("installation", "module", "times", "since", "lifted_at")
_MAKE_ROW: Final = BulkInsert(quarantines, _COLUMNS, unless=("installation", "module"))
_PUT: Final = (
    update(quarantines)
    .where(*_ROW)
    .values(times=bindparam("now_times"), since=bindparam("now"), lifted_at=None)
)
_LIFT: Final = (
    update(quarantines)
    .where(*_ROW, quarantines.c.lifted_at.is_(None))
    .values(lifted_at=bindparam("now"))
)


class StoredQuarantine:
    """`service.ports.store.Quarantine` of one installation."""

    def __init__(self, database: Database, installation: str) -> None:
        self._database = database
        self._installation = installation

    def put(self, module: str) -> None:
        def run(connection: Connection) -> None:
            values = self._values(module)
            now = database_now(connection)
            found = connection.execute(_FIND, values).one_or_none()
            if found is None:
                # A row to hold on to, of a module that is out: others may notice just now.
                out = {"installation": self._installation, "module": module}
                _MAKE_ROW(connection, [{**out, "times": 0, "since": 0, "lifted_at": 0}])
                found = connection.execute(_FIND, values).one()
            if found.lifted_at is None:
                return
            times = found.times + 1 if now - found.lifted_at < SOON_MILLIS else 1
            connection.execute(_PUT, {**values, "now": now, "now_times": times})
            self._record(connection, "hsm.quarantined", module, now)

        self._database.write(run)

    def standing(self) -> Sequence[Quarantined]:
        def run(connection: Connection) -> list[Quarantined]:
            found = connection.execute(_STANDING, {"where": self._installation}).all()
            if not found:
                return []
            now = database_now(connection)
            return [Quarantined(row.module, _held(row.times, now - row.since)) for row in found]

        return self._database.read(run)

    def readings(self) -> Sequence[Reading]:
        """One for each module that ever was in."""

        def run(connection: Connection) -> list[Reading]:
            found = connection.execute(_EVER, {"where": self._installation}).all()
            return [
                Reading(HSM_QUARANTINED, (Path(row.module).name,), float(row.lifted_at is None))
                for row in found
            ]

        return self._database.read(run)

    def lift(self, module: str) -> bool:
        def run(connection: Connection) -> bool:
            now = database_now(connection)
            values = {**self._values(module), "now": now}
            if not connection.execute(_LIFT, values).rowcount:
                return False
            self._record(connection, "hsm.quarantine-lifted", module, now)
            return True

        return self._database.write(run)

    def _values(self, module: str) -> dict[str, Any]:
        return {"where": self._installation, "which": module}

    def _record(self, connection: Connection, action: str, module: str, now: int) -> None:
        details = {"installation": self._installation}
        record(connection, [AuditEvent(action, _ACTOR, module, details)], now=now)


def _held(times: int, passed_millis: int) -> float:
    if times <= PATIENT_TIMES:
        return 0.0
    # The exponent is bounded, so that a row which has been in for days costs no more.
    hold: int = min(_MILLIS * 2 ** min(times - PATIENT_TIMES, 10), LONGEST_MILLIS)
    return max(hold - passed_millis, 0) / _MILLIS
