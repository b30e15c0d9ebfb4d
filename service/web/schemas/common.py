"""Shapes that several resources share."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.domain.limits import DEFAULT_PAGE, MAX_PAGE
from service.web.schemas.fields import MAX_CURSOR_CHARS, Count, about, text


class PageQuery(Schema):
    limit = Count(
        load_default=DEFAULT_PAGE,
        validate=validate.Range(1, MAX_PAGE),
        metadata=about("How many items at most."),
    )
    cursor = text("The `next` of the page before.", most=MAX_CURSOR_CHARS)


class PageSchema(Schema):
    """What every list has beside its `items`."""

    next = fields.String(
        required=True, allow_none=True, metadata=about("Cursor of the next page, or null.")
    )


class ProblemSchema(Schema):
    """An error (RFC 9457)."""

    type = fields.String(
        required=True, metadata=about("`/problems/{code}`: a page with cause and cure.")
    )
    title = fields.String(required=True, metadata=about("What kind of error this is."))
    status = fields.Integer(required=True, metadata=about("The HTTP status."))
    detail = fields.String(required=True, metadata=about("What happened this time."))
    code = fields.String(required=True, metadata=about("Stable; branch on this."))
    request_id = fields.String(
        required=True, metadata=about("Finds the request in the log; also `X-Request-Id`.")
    )
    retryable = fields.Boolean(
        required=True, metadata=about("Whether the same request may succeed later.")
    )
    errors = fields.Dict(
        keys=fields.String(), metadata=about("For input: what is wrong, by field.")
    )
    reasons = fields.List(fields.String(), metadata=about("For refusals: every rule that refused."))
    allowed = fields.List(
        fields.String(), metadata=about("For a state: the states that are possible instead.")
    )
