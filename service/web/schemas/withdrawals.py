"""The signed list of withdrawals."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from service.web.schemas.fields import about


class WithdrawnSchema(Schema):
    kind = fields.String(
        required=True,
        validate=validate.OneOf(["key-version"]),
        metadata=about("What is withdrawn: a version of a key, with its signatures."),
    )
    key = fields.String(required=True, metadata=about("Name of the key."))
    version = fields.Integer(required=True, metadata=about("Number of the version."))
    fingerprint = fields.String(
        required=True, metadata=about("Hex SHA-256 of its SubjectPublicKeyInfo.")
    )
    since = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=about("Signatures proven to be older still count; null: none does."),
    )
    reason = fields.String(required=True, allow_none=True, metadata=about("Why, if it was said."))


class EnvelopeSignatureSchema(Schema):
    keyid = fields.String(
        required=True, metadata=about("Hex SHA-256 of the log key's SubjectPublicKeyInfo.")
    )
    sig = fields.String(
        required=True, metadata=about("Base64 of the signature (ECDSA P-256, SHA-256, DER).")
    )


class EnvelopeSchema(Schema):
    """A DSSE envelope; the signature is over its pre-authentication encoding."""

    payloadType = fields.String(  # noqa: N815  # as DSSE spells it
        required=True, metadata=about("`application/vnd.sealwright.withdrawals.v1+json`.")
    )
    payload = fields.String(
        required=True, metadata=about("Base64 of the JSON that says what stands beside it.")
    )
    signatures = fields.List(
        fields.Nested(EnvelopeSignatureSchema),
        required=True,
        metadata=about("One, by the active version of the log key."),
    )


class WithdrawalListSchema(Schema):
    issued = fields.DateTime(required=True, metadata=about("When it was signed."))
    valid_until = fields.DateTime(
        required=True, metadata=about("Refuse an older list after this moment.")
    )
    sequence = fields.Integer(
        required=True, metadata=about("Grows with each list; never take one that goes back.")
    )
    checkpoint = fields.String(
        required=True,
        allow_none=True,
        metadata=about("The log's newest checkpoint when it was signed; null before the first."),
    )
    items = fields.List(
        fields.Nested(WithdrawnSchema), required=True, metadata=about("What is withdrawn.")
    )
    envelope = fields.Nested(
        EnvelopeSchema, required=True, metadata=about("The same, signed by the log key.")
    )
