"""What the store shows to whoever watches: read when asked, never counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, func, select

from service.domain.outbox import OrderState
from service.ports.metrics import OUTBOX_ORDERS, Reading
from service.store.database import Database
from service.store.schema import PARKED, WAITING, outbox

_WAITING: Final = select(func.count()).select_from(outbox).where(WAITING)
_PARKED: Final = select(func.count()).select_from(outbox).where(PARKED)


class OutboxGauge:
    def __init__(self, database: Database) -> None:
        self._database = database

    def readings(self) -> Sequence[Reading]:
        def run(connection: Connection) -> list[Reading]:
            counts = {
                OrderState.WAITING: connection.execute(_WAITING).scalar_one(),
                OrderState.PARKED: connection.execute(_PARKED).scalar_one(),
            }
            return [
                Reading(OUTBOX_ORDERS, (state.value,), count) for state, count in counts.items()
            ]

        return self._database.read(run)
