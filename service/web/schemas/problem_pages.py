"""The pages of `/problems/`, for tools."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.common import PageSchema
from service.web.schemas.fields import about


class ProblemPageSchema(Schema):
    code = fields.String(required=True, metadata=about("Stable code."))
    title = fields.String(required=True, metadata=about("What kind of error this is."))
    status = fields.Integer(required=True, metadata=about("The HTTP status it is sent with."))
    cause = fields.String(required=True, metadata=about("How it comes about."))
    cure = fields.String(required=True, metadata=about("What to do about it."))
    retryable = fields.Boolean(
        required=True, metadata=about("Whether the same request may succeed later.")
    )


class ReasonPageSchema(Schema):
    """A reason in verdicts and in refusals of bundles, which is no error and has no status."""

    code = fields.String(required=True, metadata=about("Stable code."))
    title = fields.String(required=True, metadata=about("What it says."))
    cause = fields.String(required=True, metadata=about("How it comes about."))
    cure = fields.String(required=True, metadata=about("What to do about it."))


class ProblemPageListSchema(PageSchema):
    items = fields.List(
        fields.Nested(ProblemPageSchema), required=True, metadata=about("Errors, by code.")
    )
    reasons = fields.List(
        fields.Nested(ReasonPageSchema),
        required=True,
        metadata=about("Reasons that are no errors, by code."),
    )
