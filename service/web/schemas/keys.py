"""Keys and their public halves."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from service.domain.keys import Algorithm, KeyState, Purpose
from service.web.schemas.certificates import CertificateSchema
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import Count, Flag, about


class KeyQuery(PageQuery):
    purpose = fields.Enum(
        Purpose,
        by_value=True,
        metadata=about("Only keys of this purpose; every one but `ca` if left out."),
    )


class PublicKeyQuery(Schema):
    all = Flag(load_default=False, metadata=about("Every version that still counts."))
    version = Count(
        validate=validate.Range(1), metadata=about("This version instead of the active one.")
    )

    @validates_schema
    def not_both(self, data: dict[str, Any], **kwargs: Any) -> None:
        if data["all"] and "version" in data:
            raise ValidationError("Either all or version.", "version")


class LocationSchema(Schema):
    token = fields.String(required=True, metadata=about("Label of the token."))
    serial = fields.String(required=True, metadata=about("Serial number of the token."))
    state = fields.String(
        required=True,
        validate=validate.OneOf(["present", "missing", "unavailable"]),
        metadata=about("Whether the key is there now; unavailable: the token does not answer."),
    )


class AttributesSchema(Schema):
    sensitive = fields.Boolean(
        required=True, allow_none=True, metadata=about("CKA_SENSITIVE; null: it does not say.")
    )
    extractable = fields.Boolean(required=True, allow_none=True, metadata=about("CKA_EXTRACTABLE."))
    always_sensitive = fields.Boolean(
        required=True, allow_none=True, metadata=about("CKA_ALWAYS_SENSITIVE.")
    )
    never_extractable = fields.Boolean(
        required=True, allow_none=True, metadata=about("CKA_NEVER_EXTRACTABLE.")
    )
    local = fields.Boolean(
        required=True, allow_none=True, metadata=about("CKA_LOCAL: made on the token.")
    )


class KeyVersionSchema(Schema):
    key = fields.String(required=True, metadata=about("Name of the key that it is a version of."))
    version = fields.Integer(required=True, metadata=about("Ascending from 1."))
    state = fields.String(
        required=True, validate=validate.OneOf([*KeyState]), metadata=about("Its state.")
    )
    algorithm = fields.String(
        required=True, validate=validate.OneOf([*Algorithm]), metadata=about("Kind of key pair.")
    )
    public_key = fields.String(
        required=True, metadata=about("SubjectPublicKeyInfo as PEM, pinned when it was made.")
    )
    fingerprint = fields.String(
        required=True, metadata=about("Hex SHA-256 of the SubjectPublicKeyInfo.")
    )
    compromised = fields.Boolean(
        required=True,
        metadata=about("Whether it ever was: that outlives the state, and its signatures fail."),
    )
    compromised_since = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=about(
            "Signatures proven to be older still count; null where it is compromised: none does."
        ),
    )
    created_at = fields.DateTime(required=True, metadata=about("When it was made."))
    certificate = fields.Nested(
        CertificateSchema,
        required=True,
        allow_none=True,
        metadata=about("Its certificate chain, if it has one."),
    )
    locations = fields.List(
        fields.Nested(LocationSchema),
        metadata=about("Where it lies; shown to custodians and auditors only."),
    )
    cka_id = fields.String(
        metadata=about("CKA_ID in hex, by which tokens find it; shown as locations are."),
    )
    attributes = fields.Nested(
        AttributesSchema,
        metadata=about("What the token says of it; shown to custodians and auditors only."),
    )


class KeySchema(Schema):
    name = fields.String(required=True, metadata=about("Its name."))
    purpose = fields.String(
        required=True, validate=validate.OneOf([*Purpose]), metadata=about("What it may sign.")
    )
    algorithm = fields.String(
        required=True,
        validate=validate.OneOf([*Algorithm]),
        metadata=about("Kind of key pair of the first version, and of new ones unless they say."),
    )
    created_at = fields.DateTime(required=True, metadata=about("When it was made."))
    versions = fields.List(
        fields.Nested(KeyVersionSchema), required=True, metadata=about("In ascending order.")
    )


class KeyPageSchema(PageSchema):
    items = fields.List(fields.Nested(KeySchema), required=True, metadata=about("The keys."))


class JWKSchema(Schema):
    """A public key (RFC 7517)."""

    kty = fields.String(required=True, metadata=about("`EC`, `RSA` or `OKP`."))
    kid = fields.String(required=True, metadata=about("SHA-256 thumbprint (RFC 7638)."))
    use = fields.String(required=True, metadata=about("`sig`."))
    crv = fields.String(metadata=about("Curve."))
    x = fields.String(metadata=about("Coordinate, or the whole Ed25519 key."))
    y = fields.String(metadata=about("Coordinate."))
    n = fields.String(metadata=about("RSA modulus."))
    e = fields.String(metadata=about("RSA exponent."))


class JWKSetSchema(Schema):
    keys = fields.List(fields.Nested(JWKSchema), required=True, metadata=about("The keys."))
