"""Reissue: what stands, signed again under another version of its key."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.fields import StrictBoolean, about
from service.web.schemas.jobs import JobSchema


class ReissueRequestSchema(Schema):
    dry_run = StrictBoolean(
        load_default=False, metadata=about("Sign nothing; tell what would be done.")
    )


class ReissueCountsSchema(Schema):
    reissued = fields.Integer(
        required=True, metadata=about("Images signed again; with `dry_run`: that would be.")
    )
    already = fields.Integer(
        required=True, metadata=about("Images that were signed under the version before.")
    )
    gone = fields.Integer(required=True, metadata=about("Images that their registry has no more."))
    failed = fields.Integer(required=True, metadata=about("Images listed in `failures`."))
    forged = fields.Integer(required=True, metadata=about("Signatures listed in `forged`."))
    unseen = fields.Integer(
        required=True,
        metadata=about("Repositories, listed in `failures`, in which nobody could look for more."),
    )


class ForgedSignatureSchema(Schema):
    reference = fields.String(required=True, metadata=about("The image that carries it."))
    format = fields.String(required=True, metadata=about("As in `cosign` or `bundle`."))
    version = fields.Integer(required=True, metadata=about("The version that has made it."))
    identity = fields.String(
        required=True, allow_none=True, metadata=about("The name that it claims.")
    )


class NotReissuedSchema(Schema):
    reference = fields.String(required=True, metadata=about("The image."))
    code = fields.String(required=True, metadata=about("Stable code; see `/problems/{code}`."))
    detail = fields.String(required=True, metadata=about("What happened."))


class ReissueJobSchema(JobSchema):
    key = fields.String(required=True, metadata=about("Name of the key."))
    version = fields.Integer(required=True, metadata=about("The version that signs."))
    dry_run = fields.Boolean(required=True, metadata=about("Whether nothing is signed."))
    counts = fields.Nested(
        ReissueCountsSchema, required=True, metadata=about("What has come of the images so far.")
    )
    forged = fields.List(
        fields.Nested(ForgedSignatureSchema),
        required=True,
        metadata=about("At the registry, by the key, in no record of ours; 1,000 at most."),
    )
    failures = fields.List(
        fields.Nested(NotReissuedSchema),
        required=True,
        metadata=about("What could not be signed again, and why; 1,000 at most."),
    )
