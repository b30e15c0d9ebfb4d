"""`POST /v1/keys/{name}/payload-signatures`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from service.domain.payloads import Encoding
from service.web.schemas.fields import about
from service.web.schemas.signing import LogProofSchema


class Base64(fields.String):
    """Bytes in standard base64, in the one spelling that they have."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            raw = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValidationError("Not base64.") from error
        if base64.b64encode(raw).decode() != text:
            raise ValidationError("Not base64 as everybody writes it.")
        return raw


class PayloadRequestSchema(Schema):
    encoding = fields.String(
        required=True,
        validate=validate.OneOf([each.value for each in Encoding]),
        metadata=about(
            "What the payload is: cosign's simple signing, the pre-authentication encoding of an "
            "in-toto statement, or what a Notary Project envelope signs."
        ),
    )
    payload = Base64(required=True, metadata=about("The exact bytes to sign, in base64."))


class PayloadSignatureSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies the signature on record."))
    key = fields.String(required=True, metadata=about("Name of the key."))
    key_version = fields.Integer(required=True, metadata=about("Version of the key."))
    algorithm = fields.String(required=True, metadata=about("As in `ecdsa-p256-sha256`."))
    encoding = fields.String(required=True, metadata=about("As it was asked."))
    digest = fields.String(required=True, metadata=about("The image that the payload is about."))
    signature = fields.String(
        required=True,
        metadata=about(
            "In base64, as the envelope of the encoding holds it: ECDSA in ASN.1 DER, and r ‖ s for "
            "the Notary Project."
        ),
    )
    certificate_chain = fields.List(
        fields.String(),
        required=True,
        metadata=about(
            "The certificates that go into the envelope, DER in base64, leaf first; empty where "
            "none do."
        ),
    )
    created_at = fields.DateTime(required=True, metadata=about("When it was first made."))
    log = fields.Nested(
        LogProofSchema,
        required=True,
        allow_none=True,
        metadata=about("Proof that it is in the log; null where there is none yet."),
    )
