"""Asks for attachments, within the transaction of whoever needs them.

There is one order for (kind, repository, digest), used again and again. A new wish makes it
a new generation: due now, its quiet looks counted anew. Who wishes gets the order's lease if
nobody holds it, not even the same owner: two deliveries must never run side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, case, select, update

from service.domain.digests import Descriptor
from service.domain.ids import new_id
from service.domain.outbox import Order, OrderKind, OrderState
from service.domain.signing import AttachmentState
from service.store.bulk import BulkInsert
from service.store.fast import rows
from service.store.rows import order_from
from service.store.schema import attachments, outbox
from service.store.sql import any_of

Place = tuple[str, str, str]
"""Kind, repository and digest, as stored: what an order is for."""

_SELECT: Final = (
    select(outbox)
    .where(any_of(outbox.c.digest, "digests"))
    .order_by(outbox.c.id)
    .with_for_update()  # in the order of ids, so that no two callers wait for each other
)
_INSERT: Final = BulkInsert(
    outbox,
    (
        "kind",
        "repository",
        "digest",
        "state",
        "generation",
        "attempts",
        "looks",
        "due_at",
        "owner",
        "fencing",
        "lease_until",
        "created_at",
        "subject_media_type",
        "subject_size",
    ),
    unless=("digest", "repository", "kind"),
)
_RENEW: Final = (
    update(outbox)
    .where(any_of(outbox.c.id, "ids"))
    .values(
        state=OrderState.WAITING.value,
        generation=outbox.c.generation + 1,
        looks=0,
        # A registry that has been failing is not asked as if nothing had happened.
        attempts=case((outbox.c.state == OrderState.WAITING.value, outbox.c.attempts), else_=0),
        due_at=bindparam("now"),
    )
)
_LEASE: Final = (
    update(outbox)
    .where(any_of(outbox.c.id, "ids"))
    .values(
        owner=bindparam("holder"),
        fencing=outbox.c.fencing + 1,
        lease_until=bindparam("until"),
    )
    .returning(outbox)
)
_REVIVE: Final = (
    update(attachments)
    .where(
        any_of(attachments.c.order_id, "ids"),
        attachments.c.state == AttachmentState.FAILED.value,
    )
    .values(state=AttachmentState.PENDING.value, updated_at=bindparam("now"))
)
_INSERT_ATTACHMENTS: Final = BulkInsert(
    attachments, ("id", "signature_id", "order_id", "state", "updated_at")
)
_KNOWN: Final = select(attachments.c.signature_id).where(any_of(attachments.c.signature_id, "ids"))
_PEND: Final = (
    update(attachments)
    .where(any_of(attachments.c.signature_id, "ids"))
    .values(
        state=AttachmentState.PENDING.value,
        error_code=None,
        error_detail=None,
        updated_at=bindparam("now"),
    )
)


@dataclass(frozen=True, slots=True)
class Placed:
    """The orders for all places asked for, by number, and those whose lease was granted."""

    numbers: Mapping[Place, int]
    granted: Mapping[Place, Order]


def place_of(kind: OrderKind, repository: str, digest: str) -> Place:
    return (kind.value, repository, digest)


def place(
    connection: Connection,
    wanted: Mapping[Place, Descriptor],
    *,
    owner: str,
    seconds: float,
    now: int,
) -> Placed:
    """Place an order for each of these subjects, or make the one there is a new generation."""
    until = now + round(seconds * 1000)
    places = sorted(wanted)
    found = _find(connection, places)
    missing = [place for place in places if place not in found]
    inserted: dict[Place, Row[Any]] = {}
    if missing:
        _INSERT(
            connection,
            [_new(place, wanted[place], owner, until=until, now=now) for place in missing],
        )
        for place, row in _find(connection, missing).items():
            # Whoever was quicker has another owner: an owner does one thing at a time.
            (inserted if row.owner == owner else found)[place] = row
    granted = {place: order_from(row) for place, row in inserted.items()}
    if found:
        granted.update(_renew(connection, found.values(), owner=owner, until=until, now=now))
    placed = {**found, **inserted}
    return Placed({place: row.id for place, row in placed.items()}, granted)


def attach_new(connection: Connection, wishes: Sequence[tuple[str, int]], *, now: int) -> None:
    """Record attachments, given as (signature, order), of signatures made in this transaction."""
    pending = AttachmentState.PENDING.value
    _INSERT_ATTACHMENTS(
        connection,
        [
            {
                "id": new_id("att"),
                "signature_id": signature,
                "order_id": order,
                "state": pending,
                "updated_at": now,
            }
            for signature, order in wishes
        ],
    )


def attach_again(connection: Connection, wishes: Sequence[tuple[str, int]], *, now: int) -> None:
    """Set attachments pending, and record those that were never asked for before.

    The caller has placed the orders: their row locks keep two callers from adding the same.
    """
    ids = [signature for signature, _ in wishes]
    known = set(connection.execute(_KNOWN, {"ids": ids}).scalars())
    attach_new(connection, [wish for wish in wishes if wish[0] not in known], now=now)
    if known:
        connection.execute(_PEND, {"ids": sorted(known), "now": now})


def _find(connection: Connection, places: Sequence[Place]) -> dict[Place, Row[Any]]:
    wanted = set(places)
    listed = rows(connection, _SELECT, {"digests": sorted({digest for _, _, digest in places})})
    found = {(row.kind, row.repository, row.digest): row for row in listed}
    return {place: row for place, row in found.items() if place in wanted}


def _new(place: Place, subject: Descriptor, owner: str, *, until: int, now: int) -> dict[str, Any]:
    kind, repository, digest = place
    return {
        "kind": kind,
        "repository": repository,
        "digest": digest,
        "state": OrderState.WAITING.value,
        "generation": 1,
        "attempts": 0,
        "looks": 0,
        "due_at": now,
        "owner": owner,
        "fencing": 1,
        "lease_until": until,
        "created_at": now,
        "subject_media_type": subject.media_type,
        "subject_size": subject.size,
    }


def _renew(
    connection: Connection, found: Iterable[Row[Any]], *, owner: str, until: int, now: int
) -> dict[Place, Order]:
    listed = list(found)
    rows(connection, _RENEW, {"ids": [row.id for row in listed], "now": now})
    parked = [row.id for row in listed if row.state == OrderState.PARKED.value]
    if parked:
        connection.execute(_REVIVE, {"ids": parked, "now": now})
    free = [row.id for row in listed if row.lease_until <= now]
    if not free:
        return {}
    leased = rows(connection, _LEASE, {"ids": free, "holder": owner, "until": until})
    return {(row.kind, row.repository, row.digest): order_from(row) for row in leased}
