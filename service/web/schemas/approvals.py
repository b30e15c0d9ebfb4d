"""Approvals: what several people must want before it is done."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.domain.acts import ActKind
from service.domain.approvals import ApprovalState
from service.domain.callers import Role
from service.web.schemas.fields import about


class ParticipantSchema(Schema):
    name = fields.String(required=True, metadata=about("Name of the credential."))
    person = fields.String(required=True, metadata=about("Who stands behind it."))
    role = fields.String(
        required=True, validate=validate.OneOf([*Role]), metadata=about("Its role at that moment.")
    )


class VoteSchema(ParticipantSchema):
    at = fields.DateTime(required=True, metadata=about("When."))
    reason = fields.String(required=True, allow_none=True, metadata=about("Why, if it was said."))
    signature = fields.String(
        required=True,
        allow_none=True,
        metadata=about("The person's own SSH signature over `document`, armored."),
    )
    ssh_public_key = fields.String(
        required=True, allow_none=True, metadata=about("The key that it was checked against.")
    )


class ApprovalErrorSchema(Schema):
    code = fields.String(required=True, metadata=about("Stable; see `/problems/{code}`."))
    detail = fields.String(required=True, allow_none=True, metadata=about("What happened."))


class ApprovalSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies it."))
    state = fields.String(
        required=True,
        validate=validate.OneOf([*ApprovalState]),
        metadata=about("What became of it."),
    )
    act = fields.String(
        required=True, validate=validate.OneOf([*ActKind]), metadata=about("What is to be done.")
    )
    subject = fields.String(
        required=True, metadata=about("To what: `release`, `release/3`, a credential's name.")
    )
    arguments = fields.Dict(
        required=True, keys=fields.String(), metadata=about("The rest of the act, exactly.")
    )
    requester = fields.Nested(
        ParticipantSchema, required=True, metadata=about("Who asked; never approves.")
    )
    needed = fields.Integer(
        required=True,
        metadata=about("How many people must want it, a custodian who asked included."),
    )
    missing = fields.Integer(required=True, metadata=about("How many of them are still to come."))
    signed = fields.Boolean(
        required=True, metadata=about("Whether each approval must carry an SSH signature.")
    )
    approvals = fields.List(
        fields.Nested(VoteSchema), required=True, metadata=about("Who has approved so far.")
    )
    rejection = fields.Nested(
        VoteSchema, required=True, allow_none=True, metadata=about("Who has rejected it.")
    )
    created_at = fields.DateTime(required=True, metadata=about("When it was asked for."))
    expires_at = fields.DateTime(required=True, metadata=about("Until when it may be approved."))
    ended_at = fields.DateTime(
        required=True, allow_none=True, metadata=about("When it came to its end.")
    )
    document = fields.String(
        required=True,
        metadata=about("Base64 of the exact bytes that it is bound to, and that SSH keys sign."),
    )
    outcome = fields.Dict(
        required=True,
        allow_none=True,
        keys=fields.String(),
        metadata=about("What the act has led to, once it is executed."),
    )
    error = fields.Nested(
        ApprovalErrorSchema,
        required=True,
        allow_none=True,
        metadata=about("Why it failed, if it did."),
    )
