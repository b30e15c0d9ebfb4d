"""The maintenance switch."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.domain.limits import MAX_REASON_CHARS
from service.web.schemas.fields import StrictBoolean, about, text


class TurnMaintenanceSchema(Schema):
    on = StrictBoolean(required=True, metadata=about("Whether signing is to stop."))
    reason = text(
        "Why; callers are told, and it is kept in the audit trail.", most=MAX_REASON_CHARS
    )


class MaintenanceSchema(Schema):
    on = fields.Boolean(required=True, metadata=about("Whether nothing is signed now."))
    reason = fields.String(required=True, allow_none=True, metadata=about("Why."))
    actor = fields.String(
        required=True, allow_none=True, metadata=about("Who has turned it last; null: nobody yet.")
    )
    at = fields.DateTime(required=True, allow_none=True, metadata=about("When."))
