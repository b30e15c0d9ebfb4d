"""The outbox: durable orders, claimed under leases (see `service.domain.outbox`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select, update

from service.domain.digests import Digest
from service.domain.errors import LeaseLostError, NotFoundError
from service.domain.findings import ORDER_PARKED, NewFinding, Severity
from service.domain.outbox import AttachmentStatus, Order, OrderKind, OrderState, OrderStatus
from service.domain.pages import Page, PageRequest
from service.domain.signing import AttachmentState, AttachmentWish, Signature
from service.ports.store import SignatureFilter
from service.store import outbox_lists
from service.store.database import Database
from service.store.findings import close_finding, open_finding
from service.store.orders import attach_again, place, place_of
from service.store.rows import SIGNATURES, order_from, signature_from
from service.store.schema import PARKED, STANDING, WAITING, attachments, outbox, signatures
from service.store.sql import any_of, database_now, now_ms

MAX_DETAIL_CHARS: Final = 1000  # what a registry says goes into an answer and a list

_SUBJECTS: Final = select(signatures.c.id, signatures.c.repository, signatures.c.digest).where(
    any_of(signatures.c.id, "ids"), STANDING
)
_BY_IDS: Final = SIGNATURES.where(any_of(signatures.c.id, "ids"))
_OF_ORDER: Final = SIGNATURES.where(
    attachments.c.order_id == bindparam("order"), STANDING
).order_by(signatures.c.seq)

_DUE: Final = (
    WAITING,
    outbox.c.due_at <= now_ms(),
    outbox.c.lease_until <= now_ms(),
)
_ANY_DUE: Final = select(outbox.c.id).where(*_DUE).limit(1)
_CHOOSE: Final = (
    select(outbox.c.id)
    .where(*_DUE)
    .order_by(outbox.c.due_at)
    .limit(bindparam("limit", type_=outbox.c.attempts.type))
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    update(outbox)
    .where(any_of(outbox.c.id, "ids"))
    .values(
        owner=bindparam("holder"),
        fencing=outbox.c.fencing + 1,
        lease_until=bindparam("until"),
    )
    .returning(outbox)
)
_SETTLED: Final = (
    select(outbox)
    .where(
        outbox.c.id > bindparam("after", type_=outbox.c.id.type),
        outbox.c.state == OrderState.DONE.value,
        outbox.c.kind != OrderKind.LOOKASIDE.value,
    )
    .order_by(outbox.c.id)
    .limit(bindparam("limit", type_=outbox.c.attempts.type))
)
_LOCK: Final = select(outbox).where(outbox.c.id == bindparam("order")).with_for_update()
_END: Final = (
    update(outbox)
    .where(outbox.c.id == bindparam("order"))
    .values(
        owner=None,
        lease_until=0,
        **{
            name: bindparam(f"new_{name}")
            for name in (
                "state",
                "due_at",
                "attempts",
                "looks",
                "seen",
                "error_code",
                "error_detail",
            )
        },
    )
)
_ATTACHED: Final = (
    update(attachments)
    .where(any_of(attachments.c.signature_id, "ids"))
    .values(
        state=AttachmentState.ATTACHED.value,
        manifest_digest=bindparam("manifest"),
        media_type=bindparam("type"),
        error_code=None,
        error_detail=None,
        updated_at=bindparam("now"),
    )
)
_FAILING: Final = (
    update(attachments)
    .where(attachments.c.order_id == bindparam("order"))
    .values(
        error_code=bindparam("code"), error_detail=bindparam("detail"), updated_at=bindparam("now")
    )
)
_FAILED: Final = _FAILING.values(state=AttachmentState.FAILED.value)
_STILL_PENDING: Final = _FAILING.where(attachments.c.state == AttachmentState.PENDING.value)
_ORDER_OF: Final = select(attachments.c.order_id).where(attachments.c.id == bindparam("id"))
_PARKED: Final = select(outbox.c.id).where(PARKED).with_for_update()
_RETRY: Final = (
    update(outbox)
    .where(any_of(outbox.c.id, "ids"), outbox.c.state != OrderState.DONE.value)
    .values(
        state=OrderState.WAITING.value,
        generation=outbox.c.generation + 1,
        attempts=0,
        looks=0,
        due_at=now_ms(),
    )
)
_PEND: Final = (
    update(attachments)
    .where(
        any_of(attachments.c.order_id, "ids"), attachments.c.state == AttachmentState.FAILED.value
    )
    .values(state=AttachmentState.PENDING.value, updated_at=now_ms())
)


class StoredOutbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    def order_attachments(
        self, wishes: Sequence[AttachmentWish], *, owner: str, seconds: float
    ) -> Sequence[Order]:
        if not wishes:
            return ()
        return self._database.write(
            partial(_order_attachments, list(wishes), owner=owner, seconds=seconds)
        )

    def claim(self, *, owner: str, seconds: float, limit: int) -> Sequence[Order]:
        # A worker asks every moment; only a reader's glance is spent when there is nothing.
        if not self._database.read(lambda connection: connection.execute(_ANY_DUE).all()):
            return ()
        return self._database.write(partial(_claim, owner=owner, seconds=seconds, limit=limit))

    def settled(self, *, after: int, limit: int) -> Sequence[Order]:
        values = {"after": after, "limit": limit}
        rows = self._database.read(lambda connection: connection.execute(_SETTLED, values).all())
        return [order_from(row) for row in rows]

    def to_attach(self, order: Order) -> Sequence[Signature]:
        rows = self._database.read(
            lambda connection: connection.execute(_OF_ORDER, {"order": order.id}).all()
        )
        return [signature_from(row) for row in rows]

    def attached(
        self,
        order: Order,
        holders: Mapping[str, Digest],
        *,
        media_type: str,
        seen: str,
        look_again_seconds: float | None,
        looks: int,
    ) -> bool:
        held: dict[Digest, list[str]] = {}
        for signature, manifest in holders.items():
            held.setdefault(manifest, []).append(signature)

        def run(connection: Connection) -> bool:
            row = _locked(connection, order)
            now = database_now(connection)
            for manifest, ids in held.items():
                values = {"ids": ids, "manifest": manifest.hex, "type": media_type, "now": now}
                connection.execute(_ATTACHED, values)
            current = bool(row.generation == order.generation)
            values = {"state": OrderState.WAITING.value, "due_at": now, "looks": 0}
            if current:
                values["looks"] = looks
                if look_again_seconds is None:
                    values["state"] = OrderState.DONE.value
                else:
                    values["due_at"] = now + round(look_again_seconds * 1000)
            if row.error_code is not None:
                close_finding(connection, ORDER_PARKED, _subject(order), now=now)
            _end(connection, row, **values, attempts=0, seen=seen)
            return current

        return self._database.write(run)

    def failed(
        self,
        order: Order,
        *,
        error_code: str,
        error_detail: str,
        retry_seconds: float | None,
    ) -> None:
        detail = error_detail[:MAX_DETAIL_CHARS]

        def run(connection: Connection) -> None:
            row = _locked(connection, order)
            now = database_now(connection)
            # What was asked for since the claim has not been tried yet, so it is not parked.
            parked = retry_seconds is None and row.generation == order.generation
            connection.execute(
                _FAILED if parked else _STILL_PENDING,
                {"order": order.id, "code": error_code, "detail": detail, "now": now},
            )
            if parked:
                evidence = {"attempts": row.attempts + 1, "code": error_code, "detail": detail}
                open_finding(
                    connection,
                    NewFinding(ORDER_PARKED, Severity.HIGH, _subject(order), evidence),
                    now=now,
                )
            _end(
                connection,
                row,
                state=(OrderState.PARKED if parked else OrderState.WAITING).value,
                due_at=now + round((retry_seconds or 0) * 1000),
                attempts=row.attempts + 1,
                error_code=error_code,
                error_detail=detail,
            )

        self._database.write(run)

    def postpone(self, order: Order, *, seconds: float) -> None:
        def run(connection: Connection) -> None:
            row = _locked(connection, order)
            due_at = database_now(connection) + round(seconds * 1000)
            _end(
                connection,
                row,
                state=row.state,
                # What was asked for since the claim is not made to wait by it.
                due_at=due_at if row.generation == order.generation else row.due_at,
                attempts=row.attempts,
                error_code=row.error_code,
                error_detail=row.error_detail,
            )

        self._database.write(run)

    def attachment_states(self, signature_ids: Sequence[str]) -> Mapping[str, Signature]:
        if not signature_ids:
            return {}
        rows = self._database.read(
            lambda connection: connection.execute(_BY_IDS, {"ids": list(signature_ids)}).all()
        )
        return {row.id: signature_from(row) for row in rows}

    def list_orders(self, state: OrderState | None, page: PageRequest) -> Page[OrderStatus]:
        """Oldest first."""
        return self._database.read(partial(outbox_lists.orders, state, page))

    def list_attachments(
        self, state: str | None, wanted: SignatureFilter, page: PageRequest
    ) -> Page[AttachmentStatus]:
        """Newest first."""
        return self._database.read(partial(outbox_lists.attached, state, wanted, page))

    def get_attachment(self, attachment_id: str) -> AttachmentStatus | None:
        return self._database.read(partial(outbox_lists.attachment, attachment_id))

    def retry(self, attachment_id: str) -> None:
        """Raises NotFoundError. An order that is done stays done."""

        def run(connection: Connection) -> None:
            number = connection.execute(_ORDER_OF, {"id": attachment_id}).scalar_one_or_none()
            if number is None:
                raise NotFoundError("there is no such attachment")
            _retry(connection, [number])

        self._database.write(run)

    def retry_all_parked(self) -> int:
        def run(connection: Connection) -> int:
            return _retry(connection, connection.execute(_PARKED).scalars().all())

        return self._database.write(run)


def _order_attachments(
    wishes: list[AttachmentWish], connection: Connection, *, owner: str, seconds: float
) -> Sequence[Order]:
    wanted = {wish.signature_id: wish for wish in wishes}
    rows = connection.execute(_SUBJECTS, {"ids": list(wanted)}).all()
    if not rows:
        return ()
    now = database_now(connection)
    where = {row.id: place_of(wanted[row.id].kind, row.repository, row.digest) for row in rows}
    subjects = {where[row.id]: wanted[row.id].subject for row in rows}
    placed = place(connection, subjects, owner=owner, seconds=seconds, now=now)
    attach_again(connection, [(i, placed.numbers[at]) for i, at in where.items()], now=now)
    return list(placed.granted.values())


def _claim(connection: Connection, *, owner: str, seconds: float, limit: int) -> Sequence[Order]:
    ids = connection.execute(_CHOOSE, {"limit": limit}).scalars().all()
    if not ids:
        return ()
    until = database_now(connection) + round(seconds * 1000)
    rows = connection.execute(_CLAIM, {"ids": ids, "holder": owner, "until": until}).all()
    return [order_from(row) for row in sorted(rows, key=lambda row: (row.due_at, row.id))]


def _subject(order: Order) -> str:
    return f"{order.repository}@{order.digest} {order.kind}"


def _locked(connection: Connection, order: Order) -> Row[Any]:
    """Return the order's row, locked, if the lease is still the one that `order` came with.

    A lease that ran out without being taken by anybody is still good: the fence has not moved.
    """
    row = connection.execute(_LOCK, {"order": order.id}).one_or_none()
    if row is None or row.owner != order.owner or row.fencing != order.fencing:
        raise LeaseLostError
    return row


def _end(connection: Connection, row: Row[Any], **changed: Any) -> None:
    """Give the lease back; `fencing` stays, so that it keeps growing."""
    values = {"looks": row.looks, "seen": row.seen, "error_code": None, "error_detail": None}
    values |= changed
    connection.execute(
        _END, {"order": row.id, **{f"new_{name}": value for name, value in values.items()}}
    )


def _retry(connection: Connection, numbers: Sequence[int]) -> int:
    if not numbers:
        return 0
    changed = connection.execute(_RETRY, {"ids": list(numbers)}).rowcount
    connection.execute(_PEND, {"ids": list(numbers)})
    return changed
