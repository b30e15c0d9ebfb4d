"""Audit events."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import Schema, fields, validate

from service.domain.audit import AuditFilter
from service.domain.limits import MAX_REFERENCE_CHARS
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import Moment, about, text

FORMATS: Final = ("json", "jsonl", "cef", "syslog")
MAX_ACTION_CHARS: Final = 64


class AuditQuery(PageQuery):
    action = text("What was done, as in `signature.made`.", most=MAX_ACTION_CHARS)
    actor = text("Who did it: a credential's name or id.", most=MAX_REFERENCE_CHARS)
    subject = text("What it happened to.", most=MAX_REFERENCE_CHARS)
    since = Moment(metadata=about("Only what happened at this time or later (RFC 3339)."))
    until = Moment(metadata=about("Only what happened before this time (RFC 3339)."))
    format = fields.String(
        load_default="json",
        validate=validate.OneOf(FORMATS),
        metadata=about(
            "`jsonl`: the exact bytes of each leaf, one a line. `cef`: Common Event Format, for "
            "a collector. `syslog`: the same as messages of RFC 5424. All three name the next page "
            "in `X-Next-Cursor`."
        ),
    )


def wanted_events(query: dict[str, Any]) -> AuditFilter:
    return AuditFilter(
        action=query.get("action"),
        actor=query.get("actor"),
        subject=query.get("subject"),
        since=query.get("since"),
        until=query.get("until"),
    )


class LoggedEventSchema(Schema):
    index = fields.Integer(required=True, metadata=about("Position of its leaf in the audit log."))
    at = fields.DateTime(required=True, metadata=about("When it happened."))
    action = fields.String(required=True, metadata=about("What was done."))
    actor = fields.String(required=True, metadata=about("Who did it."))
    subject = fields.String(required=True, metadata=about("What it happened to."))
    details = fields.Dict(required=True, keys=fields.String(), metadata=about("More about it."))
    entry = fields.String(
        required=True,
        metadata=about("The event's exact bytes, in base64: the leaf, or hashed in it."),
    )


class LoggedEventPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(LoggedEventSchema), required=True, metadata=about("Newest first.")
    )
