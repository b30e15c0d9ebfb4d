"""Attachments, and the orders behind them."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.domain.outbox import OrderKind, OrderState
from service.domain.signing import AttachmentState
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import about
from service.web.schemas.signing import RecordQuery


class DeliveryErrorSchema(Schema):
    code = fields.String(required=True, metadata=about("Stable code; see `/problems/{code}`."))
    detail = fields.String(
        required=True, allow_none=True, metadata=about("What happened at the last attempt.")
    )


class AttachmentQuery(RecordQuery):
    state = fields.String(
        validate=validate.OneOf(
            [AttachmentState.ATTACHED, AttachmentState.PENDING, AttachmentState.FAILED]
        ),
        metadata=about("Only attachments in this state."),
    )


class AttachmentStatusSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies the attachment."))
    signature_id = fields.String(required=True, metadata=about("The signature attached."))
    repository = fields.String(required=True, metadata=about("With the registry's host."))
    digest = fields.String(required=True, metadata=about("Digest of the image."))
    format = fields.String(required=True, metadata=about("As in `cosign` or `bundle`."))
    state = fields.String(
        required=True, metadata=about("`attached`, `pending`, or `failed`: parked.")
    )
    attempts = fields.Integer(required=True, metadata=about("Deliveries tried so far."))
    next_attempt_at = fields.DateTime(
        required=True, allow_none=True, metadata=about("When it is tried (or looked at) again.")
    )
    error = fields.Nested(
        DeliveryErrorSchema, required=True, allow_none=True, metadata=about("The last failure.")
    )
    manifest_digest = fields.String(
        required=True, allow_none=True, metadata=about("The manifest that holds it.")
    )
    updated_at = fields.DateTime(required=True, metadata=about("When this last changed."))


class AttachmentPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(AttachmentStatusSchema), required=True, metadata=about("The attachments.")
    )


class OrderQuery(PageQuery):
    state = fields.Enum(OrderState, by_value=True, metadata=about("Only orders in this state."))


class OrderSchema(Schema):
    id = fields.Integer(required=True, metadata=about("Identifies the order."))
    kind = fields.String(
        required=True, validate=validate.OneOf([*OrderKind]), metadata=about("What it asks for.")
    )
    state = fields.String(
        required=True,
        validate=validate.OneOf([*OrderState]),
        metadata=about("`parked` waits for somebody to mend the cause and retry."),
    )
    repository = fields.String(required=True, metadata=about("With the registry's host."))
    digest = fields.String(required=True, metadata=about("Digest of the image."))
    attempts = fields.Integer(required=True, metadata=about("Deliveries tried so far."))
    due_at = fields.DateTime(required=True, metadata=about("When it is due."))
    error = fields.Nested(
        DeliveryErrorSchema, required=True, allow_none=True, metadata=about("The last failure.")
    )
    created_at = fields.DateTime(required=True, metadata=about("When it was ordered."))


class OrderPageSchema(PageSchema):
    items = fields.List(fields.Nested(OrderSchema), required=True, metadata=about("The orders."))


class RetriedSchema(Schema):
    retried = fields.Integer(required=True, metadata=about("How many parked orders are due now."))
