"""What custodians ask for: keys, versions, states, adoption."""

from __future__ import annotations

from typing import Any, Final

from marshmallow import Schema, fields, post_load, validate

from service.domain.keys import CALLERS_PURPOSES, Algorithm, KeyState, Purpose
from service.domain.limits import MAX_PUBLIC_KEY_CHARS, MAX_REASON_CHARS, MAX_URI_CHARS
from service.operations.adopt_key import Adoption
from service.operations.generate_key import Generation
from service.web.schemas.fields import Moment, StrictBoolean, about, name, text

MAX_TOKEN_LABEL_CHARS: Final = 32  # CK_TOKEN_INFO.label has 32 bytes (PKCS#11 2.40, 3.2)
_STATES_AT_FIRST: Final = (KeyState.ACTIVE, KeyState.STAGED)


def _token() -> fields.String:
    return text(
        "Label of the token to make it on; optional where the choice is clear.",
        most=MAX_TOKEN_LABEL_CHARS,
    )


def _purpose(description: str, *, required: bool = False) -> fields.Enum[Purpose]:
    return fields.Enum(
        Purpose,
        by_value=True,
        required=required,
        validate=validate.OneOf(CALLERS_PURPOSES),
        metadata={
            **about(description),
            "enum": [purpose.value for purpose in CALLERS_PURPOSES],
        },
    )


def _state_at_first() -> fields.Enum[KeyState]:
    return fields.Enum(
        KeyState,
        by_value=True,
        load_default=KeyState.ACTIVE,
        validate=validate.OneOf(_STATES_AT_FIRST),
        metadata={
            **about("`active`, or `staged`: made and published, not used before its activation."),
            "enum": [state.value for state in _STATES_AT_FIRST],
        },
    )


def _alongside() -> StrictBoolean:
    return StrictBoolean(
        load_default=False,
        metadata=about("Leave the active version active beside it: then both sign."),
    )


class NewKeySchema(Schema):
    name = name("Given once and for all.", required=True)
    purpose = _purpose("What the key may sign; purposes never mix.", required=True)
    algorithm = fields.Enum(
        Algorithm,
        by_value=True,
        load_default=Algorithm.EC_P256,
        metadata=about("Kind of key pair; P-256 is what all formats accept."),
    )
    token = _token()
    state = _state_at_first()

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> Generation:
        return Generation(
            data["name"], data["purpose"], data["algorithm"], data.get("token"), data["state"]
        )


class NewVersionSchema(Schema):
    algorithm = fields.Enum(
        Algorithm, by_value=True, metadata=about("Kind of key pair; the key's, if left out.")
    )
    token = _token()
    state = _state_at_first()
    alongside = _alongside()


class NewStateSchema(Schema):
    state = fields.Enum(
        KeyState,
        by_value=True,
        required=True,
        metadata=about("The state to get into; a forbidden one is 409, `staged` always."),
    )
    reason = text("Why; kept in the audit trail.", most=MAX_REASON_CHARS)
    since = Moment(metadata=about("With `compromised`: signatures proven to be older still count."))
    alongside = StrictBoolean(
        metadata=about("With `active`: leave other versions active; as it was made, if left out.")
    )


class AdoptionSchema(Schema):
    uri = text(
        "RFC 7512 `pkcs11:` URI of the private key; it must fit exactly one.",
        most=MAX_URI_CHARS,
        required=True,
    )
    public_key = fields.String(
        required=True,
        validate=validate.Length(1, MAX_PUBLIC_KEY_CHARS),
        metadata=about("SubjectPublicKeyInfo as PEM, which the private key must prove to fit."),
    )
    purpose = _purpose("What the key may sign; the key's own, or `image` for a new one.")
    state = _state_at_first()
    alongside = _alongside()
    allow_extractable = StrictBoolean(
        load_default=False,
        metadata=about("Take a key that can leave its token; only if the policy file says so."),
    )


def adoption(key: str, data: dict[str, Any]) -> Adoption:
    return Adoption(
        key,
        data["uri"],
        data["public_key"],
        data.get("purpose"),
        data["state"],
        alongside=data["alongside"],
        allow_extractable=data["allow_extractable"],
    )
