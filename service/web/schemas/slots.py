"""Slots and their tokens, as custodians see them."""

from __future__ import annotations

from marshmallow import Schema, fields

from service.web.schemas.common import PageSchema
from service.web.schemas.fields import about


class SlotSchema(Schema):
    token = fields.String(
        required=True, allow_none=True, metadata=about("Label; null if uninitialised.")
    )
    name = fields.String(
        required=True, allow_none=True, metadata=about("Its name in the settings, if it has one.")
    )
    module = fields.String(required=True, metadata=about("Path of the PKCS#11 module."))
    serial = fields.String(required=True, metadata=about("Serial number of the token."))
    initialized = fields.Boolean(required=True, metadata=about("Whether it is initialised."))
    flags = fields.List(
        fields.String(), required=True, metadata=about("Flags of CK_TOKEN_INFO that are set.")
    )
    free_bytes = fields.Integer(
        required=True, allow_none=True, metadata=about("Free memory, where the token tells.")
    )
    state = fields.String(required=True, metadata=about("`ready`, `pin-refused`, …"))
    detail = fields.String(
        required=True, allow_none=True, metadata=about("What stands behind the state.")
    )


class SlotPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(SlotSchema), required=True, metadata=about("Initialised ones first.")
    )


class MechanismSchema(Schema):
    name = fields.String(
        required=True, metadata=about("Name in PKCS#11 without `CKM_`, or a vendor's number.")
    )
    min_key_size = fields.Integer(
        required=True, metadata=about("In the mechanism's own unit, bits as a rule.")
    )
    max_key_size = fields.Integer(required=True, metadata=about("As `min_key_size`."))
    flags = fields.List(
        fields.String(), required=True, metadata=about("Flags of CK_MECHANISM_INFO that are set.")
    )


class MechanismPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(MechanismSchema), required=True, metadata=about("In the order of names.")
    )
