"""Keys and their public halves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from service.domain.keys import Algorithm, KeyState, Purpose
from service.web.schemas.common import PageQuery, PageSchema
from service.web.schemas.fields import Count, Flag, about, name, text

MAX_TOKEN_LABEL_CHARS: Final = 32  # CK_TOKEN_INFO.label has 32 bytes (PKCS#11 2.40, 3.2)


@dataclass(frozen=True, slots=True)
class WantedKey:
    name: str
    purpose: Purpose
    algorithm: Algorithm
    token: str | None


class NewKeySchema(Schema):
    name = name("Given once and for all.", required=True)
    purpose = fields.Enum(
        Purpose,
        by_value=True,
        required=True,
        metadata=about("What the key may sign; purposes never mix."),
    )
    algorithm = fields.Enum(
        Algorithm,
        by_value=True,
        load_default=Algorithm.EC_P256,
        metadata=about("Kind of key pair; P-256 is what all formats accept."),
    )
    token = text(
        "Label of the token to make it on; optional where one is configured.",
        most=MAX_TOKEN_LABEL_CHARS,
    )

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> WantedKey:
        return WantedKey(data["name"], data["purpose"], data["algorithm"], data.get("token"))


class KeyQuery(PageQuery):
    purpose = fields.Enum(Purpose, by_value=True, metadata=about("Only keys of this purpose."))


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
    state = fields.String(required=True, metadata=about("Whether the key is there."))


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
    version = fields.Integer(required=True, metadata=about("Ascending from 1."))
    state = fields.String(
        required=True, validate=validate.OneOf([*KeyState]), metadata=about("Its state.")
    )
    public_key = fields.String(
        required=True, metadata=about("SubjectPublicKeyInfo as PEM, pinned when it was made.")
    )
    fingerprint = fields.String(
        required=True, metadata=about("Hex SHA-256 of the SubjectPublicKeyInfo.")
    )
    compromised_since = fields.DateTime(
        required=True, allow_none=True, metadata=about("From when on its signatures do not count.")
    )
    created_at = fields.DateTime(required=True, metadata=about("When it was made."))
    locations = fields.List(
        fields.Nested(LocationSchema),
        metadata=about("Where it lies; shown to custodians and auditors only."),
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
        required=True, validate=validate.OneOf([*Algorithm]), metadata=about("Kind of key pair.")
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
