"""Long jobs, and what those of signing come to."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.domain.jobs import JobState
from service.web.schemas.fields import about
from service.web.schemas.signing import ItemErrorSchema, SignedItemSchema


class ProgressSchema(Schema):
    total = fields.Integer(required=True, metadata=about("How much there is to do."))
    done = fields.Integer(required=True, metadata=about("How much is done, the failed included."))
    failed = fields.Integer(required=True, metadata=about("How much of that failed."))


class JobSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies the job."))
    state = fields.String(
        required=True,
        validate=validate.OneOf([*JobState]),
        metadata=about(
            "`done`: it came to its end, with a result for each part; `failed`: `error` says why "
            "nothing of it can be done."
        ),
    )
    progress = fields.Nested(ProgressSchema, required=True, metadata=about("How far it is."))
    created_at = fields.DateTime(required=True, metadata=about("When it was asked for."))
    ended_at = fields.DateTime(
        required=True, allow_none=True, metadata=about("When it ended; it is kept for 7 days then.")
    )
    error = fields.Nested(
        ItemErrorSchema, required=True, allow_none=True, metadata=about("Why the job failed.")
    )


class SigningJobSchema(JobSchema):
    status = fields.Integer(
        metadata=about("Once it is done: the status that the request would have had, 201 or 207 …")
    )
    results = fields.List(
        fields.Nested(SignedItemSchema),
        metadata=about("Once it is done: in the order of `images`, as without `Prefer`."),
    )
    succeeded = fields.Integer(metadata=about("Once it is done: how many items succeeded."))
    failed = fields.Integer(metadata=about("Once it is done: how many failed, wholly or in part."))
