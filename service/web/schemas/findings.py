"""Findings: what somebody must look at."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from service.domain.findings import Severity
from service.domain.limits import MAX_NAME_CHARS
from service.ports.store import FindingFilter
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import about, text


class FindingQuery(PageQuery):
    state = fields.String(
        validate=validate.OneOf(["open", "closed"]), metadata=about("Only open or closed ones.")
    )
    code = text("Only findings of this code.", most=MAX_NAME_CHARS)
    severity = fields.Enum(
        Severity, by_value=True, metadata=about("Only findings of this severity.")
    )


def wanted_findings(query: dict[str, Any]) -> FindingFilter:
    state = query.get("state")
    return FindingFilter(
        None if state is None else state == "open", query.get("code"), query.get("severity")
    )


class FindingSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies it."))
    code = fields.String(required=True, metadata=about("Stable: what kind of finding it is."))
    severity = fields.String(
        required=True,
        validate=validate.OneOf([*Severity]),
        metadata=about("`critical` cannot wait, `low` may wait for long."),
    )
    subject = fields.String(
        required=True, metadata=about("What it is about: `release/3`, a token, a repository.")
    )
    evidence = fields.Dict(
        required=True, keys=fields.String(), metadata=about("The facts that it rests on.")
    )
    opened = fields.DateTime(required=True, metadata=about("When it was found."))
    closed = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=about("When its cause had gone; null: still there."),
    )


class FindingPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(FindingSchema), required=True, metadata=about("Newest first.")
    )
