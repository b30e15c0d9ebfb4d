"""Minutes of a key's custody."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.approvals import ApprovalSchema, ParticipantSchema
from service.web.schemas.fields import about
from service.web.schemas.keys import KeySchema
from service.web.schemas.policy import QuorumRulesSchema


class RecordedEventSchema(Schema):
    sequence = fields.Integer(required=True, metadata=about("Its number in the record."))
    index = fields.Integer(
        required=True,
        allow_none=True,
        metadata=about("Its leaf in the audit log; null while no tree holds it yet."),
    )
    at = fields.DateTime(required=True, metadata=about("When."))
    action = fields.String(required=True, metadata=about("What happened."))
    actor = fields.String(
        required=True, metadata=about("Whose credential did it, or for which approval it was done.")
    )
    subject = fields.String(required=True, metadata=about("To what."))
    details = fields.Dict(required=True, keys=fields.String(), metadata=about("The rest of it."))
    body = fields.String(
        required=True, metadata=about("Base64 of the exact bytes that stand in the audit trail.")
    )


class MinutesSchema(Schema):
    made_at = fields.DateTime(required=True, metadata=about("When these minutes were taken."))
    key = fields.Nested(KeySchema, required=True, metadata=about("The key as it is now."))
    quorum = fields.Nested(
        QuorumRulesSchema, required=True, metadata=about("The rules in force now.")
    )
    participants = fields.List(
        fields.Nested(ParticipantSchema),
        required=True,
        metadata=about("Who asked, decided or acted."),
    )
    approvals = fields.List(
        fields.Nested(ApprovalSchema), required=True, metadata=about("In the order of asking.")
    )
    events = fields.List(
        fields.Nested(RecordedEventSchema),
        required=True,
        metadata=about("What the audit trail says of the key and of its approvals, in sequence."),
    )
