"""Approvals: what several people must want before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, fields, post_load, validate

from service.domain.acts import ActKind
from service.domain.approvals import ApprovalState
from service.domain.callers import Role
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import about, name, text

MAX_REASON_CHARS: Final = 1000  # a sentence or two, for those who read it later
MAX_SIGNATURE_CHARS: Final = 16_384  # RSA of 16,384 bits in SSH's armor has 6,000


class ApprovalQuery(PageQuery):
    state = fields.Enum(
        ApprovalState, by_value=True, metadata=about("Only approvals in this state.")
    )
    key = name("Only acts on this key, or on a version of it.")


@dataclass(frozen=True, slots=True)
class WantedVote:
    signature: str | None
    reason: str | None


class VoteRequestSchema(Schema):
    signature = fields.String(
        validate=validate.Length(1, MAX_SIGNATURE_CHARS),
        metadata=about(
            "SSH signature over the bytes of `document`, armored, in the namespace "
            "`sealwright-approval@sealwright.dev`, or for a rejection "
            "`sealwright-rejection@sealwright.dev`."
        ),
    )
    reason = text("Why; shown to everyone who sees the approval.", most=MAX_REASON_CHARS)

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> WantedVote:
        return WantedVote(data.get("signature"), data.get("reason"))


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


class ApprovalPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(ApprovalSchema), required=True, metadata=about("Newest first.")
    )
