"""Certificates of keys: requests, chains, and what is shown of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from service.domain.certificates import ChainOrigin
from service.domain.errors import InvalidRequestError
from service.domain.subjects import Subject
from service.domain.x509_names import MAX_SUBJECT_CHARS, parse_subject, subject_of
from service.operations.own_ca import LEAF_DAYS, MAX_LEAF_DAYS
from service.web.schemas.custody import MAX_TOKEN_LABEL_CHARS
from service.web.schemas.fields import Count, StrictBoolean, about, text

MAX_CHAIN_CHARS: Final = 1024 * 1024  # of PEM; ten certificates of the largest kind fit
_FIELDS: Final = MappingProxyType(
    {
        "country": "C",
        "state": "ST",
        "locality": "L",
        "street": "STREET",
        "postal_code": "POSTALCODE",
        "organization": "O",
        "organizational_unit": "OU",
        "serial_number": "SERIALNUMBER",
        "common_name": "CN",
    }
)


class SubjectField(fields.Field[Subject]):
    """A name in the text of RFC 4514, or an object of its attributes."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> Subject:
        try:
            if isinstance(value, str):
                return parse_subject(value)
            if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
                return subject_of({_FIELDS.get(name, name): value[name] for name in value})
        except InvalidRequestError as error:
            raise ValidationError(str(error)) from error
        raise ValidationError("Neither the text of a name nor an object of its attributes.")


class PEMField(fields.Field[str]):
    """PEM text, or a list of such texts, which are then one after the other."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> str:
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str) for part in parts):
            raise ValidationError("Neither PEM text nor a list of such texts.")
        if sum(len(part) for part in parts) > MAX_CHAIN_CHARS:
            raise ValidationError(f"Longer than {MAX_CHAIN_CHARS} characters.")
        return "\n".join(parts)


class RequestSchema(Schema):
    subject = SubjectField(
        required=True,
        metadata={
            **about(
                "Who the certificate is for: text of RFC 4514 (`CN=release 3,O=Example,ST=Bern,"
                "C=CH`) or an object of its attributes. notation needs C, ST and O."
            ),
            "oneOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_SUBJECT_CHARS},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {name: {"type": "string"} for name in _FIELDS},
                },
            ],
        },
    )


class CSRSchema(Schema):
    csr = fields.String(required=True, metadata=about("The PKCS#10 request as PEM."))


class ChainSchema(Schema):
    certificates = PEMField(
        required=True,
        metadata={
            **about(
                "Every certificate from the leaf to the self-signed root, in this order: one PEM "
                "text, or a list of PEM texts."
            ),
            "oneOf": [
                {"type": "string", "maxLength": MAX_CHAIN_CHARS},
                {"type": "array", "items": {"type": "string"}},
            ],
        },
    )


class SelfSignSchema(Schema):
    version = fields.Integer(
        strict=True,
        validate=validate.Range(1),
        metadata=about("The newest active one if left out."),
    )
    lone = StrictBoolean(
        load_default=False,
        metadata=about("A certificate that the key signs for itself, in place of our own CA."),
    )
    country = text("Two letters of ISO 3166; as our CA has it, if left out.", most=2, least=2)
    state = text("State or province; as our CA has it, if left out.", most=128)
    organization = text("As our CA has it, if left out.", most=64)
    days = fields.Integer(
        strict=True,
        load_default=LEAF_DAYS,
        validate=validate.Range(1, MAX_LEAF_DAYS),
        metadata=about("How long it is valid, within the validity of our CA."),
    )
    token = text(
        "Label of the token for the key of our CA, where it is not made yet; the key's own if "
        "left out.",
        most=MAX_TOKEN_LABEL_CHARS,
    )


class ChainQuery(Schema):
    version = Count(
        validate=validate.Range(1), metadata=about("This version instead of the active one.")
    )


class CertificateSchema(Schema):
    """What a key version's chain says."""

    origin = fields.String(
        required=True,
        validate=validate.OneOf([*ChainOrigin]),
        metadata=about(
            "`imported`: others vouch for it. `own-ca`, `self-signed`: self-made, nobody else does."
        ),
    )
    subject = fields.String(
        required=True, metadata=about("Subject of the leaf, as RFC 4514 writes names.")
    )
    not_before = fields.DateTime(
        required=True, metadata=about("When the last certificate of the chain becomes valid.")
    )
    not_after = fields.DateTime(
        required=True, metadata=about("When the first certificate of the chain expires.")
    )
    thumbprints = fields.List(
        fields.String(),
        required=True,
        metadata=about("Hex SHA-256 of each certificate, leaf first."),
    )
