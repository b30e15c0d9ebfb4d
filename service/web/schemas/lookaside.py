"""The registry extension of containers/image."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.fields import about


class ExtensionSignatureSchema(Schema):
    schemaVersion = fields.Integer(required=True, metadata=about("2."))  # noqa: N815  # its name
    name = fields.String(required=True, metadata=about("`sha256:HEX@` and 32 digits."))
    type = fields.String(required=True, metadata=about("`atomic`."))
    content = fields.String(required=True, metadata=about("The OpenPGP message, in base64."))


class ExtensionSchema(Schema):
    signatures = fields.List(
        fields.Nested(ExtensionSignatureSchema), required=True, metadata=about("In order.")
    )
