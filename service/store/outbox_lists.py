"""Orders and attachments as operators and callers see them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, select

from service.domain.clock import from_millis
from service.domain.digests import Digest
from service.domain.outbox import AttachmentStatus, OrderKind, OrderState, OrderStatus
from service.domain.pages import Page, PageRequest
from service.domain.signing import AttachmentState
from service.ports.store import SignatureFilter
from service.store.paging import conditions, limit_of, number_after, page_of
from service.store.rows import repository_from
from service.store.schema import attachments, outbox, signatures

_ATTACHMENTS: Final[Select[Any]] = (
    select(
        attachments,
        signatures.c.repository,
        signatures.c.digest,
        signatures.c.format,
        outbox.c.state.label("order_state"),
        outbox.c.attempts,
        outbox.c.due_at,
    )
    .join(signatures, signatures.c.id == attachments.c.signature_id)
    .join(outbox, outbox.c.id == attachments.c.order_id)
)
_ATTACHMENT: Final = _ATTACHMENTS.where(attachments.c.id == bindparam("id"))


def orders(
    state: OrderState | None, page: PageRequest, connection: Connection
) -> Page[OrderStatus]:
    query = select(outbox)
    if state is not None:
        query = query.where(outbox.c.state == state.value)
    after = number_after(page)
    if after is not None:
        query = query.where(outbox.c.id > after)
    rows = connection.execute(query.order_by(outbox.c.id).limit(limit_of(page) + 1)).all()
    return page_of(rows, page, _order_status, lambda row: int(row.id))


def attached(
    state: str | None, wanted: SignatureFilter, page: PageRequest, connection: Connection
) -> Page[AttachmentStatus]:
    query = _ATTACHMENTS.where(*conditions(signatures, wanted))
    if state is not None:
        query = query.where(attachments.c.state == state)
    after = number_after(page)
    if after is not None:
        query = query.where(attachments.c.seq < after)
    query = query.order_by(attachments.c.seq.desc()).limit(limit_of(page) + 1)
    rows = connection.execute(query).all()
    return page_of(rows, page, _attachment_status, lambda row: int(row.seq))


def attachment(attachment_id: str, connection: Connection) -> AttachmentStatus | None:
    row = connection.execute(_ATTACHMENT, {"id": attachment_id}).one_or_none()
    return None if row is None else _attachment_status(row)


def _order_status(row: Row[Any]) -> OrderStatus:
    return OrderStatus(
        id=row.id,
        kind=OrderKind(row.kind),
        state=OrderState(row.state),
        repository=repository_from(row.repository),
        digest=Digest(row.digest),
        attempts=row.attempts,
        due_at=from_millis(row.due_at),
        error_code=row.error_code,
        error_detail=row.error_detail,
        created_at=from_millis(row.created_at),
    )


def _attachment_status(row: Row[Any]) -> AttachmentStatus:
    pending = row.state == AttachmentState.PENDING and row.order_state == OrderState.WAITING
    return AttachmentStatus(
        id=row.id,
        signature_id=row.signature_id,
        repository=repository_from(row.repository),
        digest=Digest(row.digest),
        format=row.format,
        state=row.state,
        attempts=row.attempts,
        next_attempt_at=from_millis(row.due_at) if pending else None,
        error_code=row.error_code,
        error_detail=row.error_detail,
        manifest_digest=None if row.manifest_digest is None else Digest(row.manifest_digest),
        updated_at=from_millis(row.updated_at),
    )
