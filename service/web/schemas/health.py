"""Whether the service lives, and whether it can work."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.web.schemas.fields import about

WORK = ("sign", "verify", "gate", "manage", "worker")


class AliveSchema(Schema):
    status = fields.String(required=True, metadata=about("`ok`: the process answers."))
    version = fields.String(required=True, metadata=about("Version of the service."))


class ReadinessQuery(Schema):
    work = fields.String(
        data_key="for",
        load_default="sign",
        validate=validate.OneOf(WORK),
        metadata=about("Only what this work needs decides."),
    )


class ReadinessPartSchema(Schema):
    name = fields.String(
        required=True, metadata=about("`hsm`, `store`, …; `role` where it is not this process's.")
    )
    ready = fields.Boolean(required=True, metadata=about("Whether this part can work."))
    needed = fields.Boolean(required=True, metadata=about("Whether the work asked about needs it."))
    code = fields.String(
        required=True, allow_none=True, metadata=about("The code of the error that it has met.")
    )
    detail = fields.String(
        required=True, allow_none=True, metadata=about("What is wrong, where something is.")
    )


class ReadinessWarningSchema(Schema):
    code = fields.String(required=True, metadata=about("The code of the finding that it is."))
    subject = fields.String(required=True, metadata=about("What it is about: `release/3`."))
    detail = fields.String(required=True, metadata=about("What will happen, and when."))


class ReadinessTokenSchema(Schema):
    token = fields.String(required=True, metadata=about("What the settings call the token."))
    state = fields.String(
        required=True,
        metadata=about(
            "`ready`, `pin-refused`, `unavailable`; `quarantined` while calls do not come back."
        ),
    )
    detail = fields.String(
        required=True, allow_none=True, metadata=about("What is wrong, where something is.")
    )


class ReadinessSchema(Schema):
    ready = fields.Boolean(required=True, metadata=about("Whether this work can be done now."))
    work = fields.String(
        data_key="for", required=True, metadata=about("Which work was asked about.")
    )
    parts = fields.List(
        fields.Nested(ReadinessPartSchema),
        required=True,
        metadata=about("Every part; only the needed ones decide."),
    )
    tokens = fields.List(
        fields.Nested(ReadinessTokenSchema),
        required=True,
        metadata=about("Each configured token; one that is ready is enough for the part `hsm`."),
    )
    warnings = fields.List(
        fields.Nested(ReadinessWarningSchema),
        required=True,
        metadata=about("What somebody should see to in time; readiness does not depend on it."),
    )
