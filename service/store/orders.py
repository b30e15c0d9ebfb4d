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

from service.domain.ids import new_id
from service.domain.outbox import Order, OrderKind, OrderState
from service.domain.signing import AttachmentState
from service.store.bulk import BulkInsert
from service.store.rows import order_from
from service.store.schema import attachments, outbox
from service.store.sql import any_of

Subject = tuple[str, str]
"""Repository and digest, as stored."""

_SELECT: Final = (
    select(outbox)
    .where(any_of(outbox.c.digest, "digests"), outbox.c.kind == OrderKind.ATTACH.value)
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
    """The orders of all subjects asked for, by number, and those whose lease was granted."""

    numbers: Mapping[Subject, int]
    granted: Mapping[Subject, Order]


def place(
    connection: Connection, subjects: Iterable[Subject], *, owner: str, seconds: float, now: int
) -> Placed:
    """Place an order for each subject, or make the one there is a new generation."""
    wanted = sorted(set(subjects))
    until = now + round(seconds * 1000)
    found = _find(connection, wanted)
    missing = [subject for subject in wanted if subject not in found]
    inserted: dict[Subject, Row[Any]] = {}
    if missing:
        _INSERT(connection, [_new(subject, owner, until=until, now=now) for subject in missing])
        for subject, row in _find(connection, missing).items():
            # Whoever was quicker has another owner: an owner does one thing at a time.
            (inserted if row.owner == owner else found)[subject] = row
    granted = {subject: order_from(row) for subject, row in inserted.items()}
    if found:
        granted.update(_renew(connection, found.values(), owner=owner, until=until, now=now))
    rows = {**found, **inserted}
    return Placed({subject: row.id for subject, row in rows.items()}, granted)


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


def _find(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, Row[Any]]:
    wanted = set(subjects)
    rows = connection.execute(_SELECT, {"digests": sorted({digest for _, digest in subjects})})
    return {
        (row.repository, row.digest): row for row in rows if (row.repository, row.digest) in wanted
    }


def _new(subject: Subject, owner: str, *, until: int, now: int) -> dict[str, Any]:
    repository, digest = subject
    return {
        "kind": OrderKind.ATTACH.value,
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
    }


def _renew(
    connection: Connection, rows: Iterable[Row[Any]], *, owner: str, until: int, now: int
) -> dict[Subject, Order]:
    listed = list(rows)
    connection.execute(_RENEW, {"ids": [row.id for row in listed], "now": now})
    parked = [row.id for row in listed if row.state == OrderState.PARKED.value]
    if parked:
        connection.execute(_REVIVE, {"ids": parked, "now": now})
    free = [row.id for row in listed if row.lease_until <= now]
    if not free:
        return {}
    leased = connection.execute(_LEASE, {"ids": free, "holder": owner, "until": until})
    return {(row.repository, row.digest): order_from(row) for row in leased}
