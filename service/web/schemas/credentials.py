"""Credentials: named callers with one role each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from service.domain.callers import Role
from service.domain.limits import MAX_NAME_CHARS
from service.operations.credentials import CredentialChange
from service.web.schemas.approvals import ApprovalSchema
from service.web.schemas.common import PageSchema
from service.web.schemas.fields import Moment, about, name, printable, text, unique

MAX_PERSON_CHARS: Final = 256  # a name or an address (RFC 5321, 4.5.3.1 allows 254)
MAX_PATTERNS: Final = 256
MAX_PATTERN_CHARS: Final = 512
MAX_SSH_KEY_CHARS: Final = 8192  # as service.formats.sshkeys


@dataclass(frozen=True, slots=True)
class WantedCredential:
    name: str
    person: str
    role: Role
    repositories: tuple[str, ...]
    keys: tuple[str, ...]
    rights: tuple[str, ...]
    expires_at: datetime | None
    ssh_public_key: str | None


class NewCredentialSchema(Schema):
    name = name("Unique, revoked ones included.", required=True)
    person = text(
        "Who stands behind it: approvals count people.", most=MAX_PERSON_CHARS, required=True
    )
    role = fields.Enum(
        Role, by_value=True, required=True, metadata=about("What its holder may do.")
    )
    repositories = fields.List(
        fields.String(validate=[validate.Length(1, MAX_PATTERN_CHARS), printable]),
        load_default=list,
        validate=[validate.Length(0, MAX_PATTERNS), unique("pattern")],
        metadata=about("Patterns of `host/path` it may sign in; none means none."),
    )
    keys = fields.List(
        fields.String(validate=[validate.Length(1, MAX_NAME_CHARS), printable]),
        load_default=list,
        validate=[validate.Length(0, MAX_PATTERNS), unique("key")],
        metadata=about("Names of the keys it may use, or `*`; none means none."),
    )
    rights = fields.List(
        fields.String(validate=[validate.Length(1, MAX_NAME_CHARS), printable]),
        load_default=list,
        validate=[validate.Length(0, MAX_PATTERNS), unique("right")],
        metadata=about("Further rights by name."),
    )
    expires_at = Moment(metadata=about("When it stops working (RFC 3339); never, if left out."))

    ssh_public_key = text(
        "One line of OpenSSH: the key that a custodian signs approvals with.",
        most=MAX_SSH_KEY_CHARS,
    )

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> WantedCredential:
        return WantedCredential(
            name=data["name"],
            person=data["person"],
            role=data["role"],
            repositories=tuple(data["repositories"]),
            keys=tuple(data["keys"]),
            rights=tuple(data["rights"]),
            expires_at=data.get("expires_at"),
            ssh_public_key=data.get("ssh_public_key"),
        )


class CredentialChangeSchema(Schema):
    person = text("Who stands behind it from now on.", most=MAX_PERSON_CHARS)
    expires_at = Moment(allow_none=True, metadata=about("When it stops working; null: never."))
    ssh_public_key = fields.String(
        allow_none=True,
        validate=[validate.Length(1, MAX_SSH_KEY_CHARS), printable],
        metadata=about("One line of OpenSSH; null takes the key away."),
    )

    @validates_schema
    def something(self, data: dict[str, Any], **kwargs: Any) -> None:
        if not data:
            raise ValidationError("Nothing is to be changed.")

    @post_load
    def build(self, data: dict[str, Any], **kwargs: Any) -> CredentialChange:
        return CredentialChange(fields=frozenset(data), **data)


class CredentialSchema(Schema):
    id = fields.String(required=True, metadata=about("Identifies it in records."))
    name = fields.String(required=True, metadata=about("Its name."))
    person = fields.String(required=True, metadata=about("Who stands behind it."))
    role = fields.String(
        required=True, validate=validate.OneOf([*Role]), metadata=about("What it may do.")
    )
    repositories = fields.List(
        fields.String(), required=True, metadata=about("Patterns it may sign in.")
    )
    keys = fields.List(fields.String(), required=True, metadata=about("Keys it may use."))
    rights = fields.List(fields.String(), required=True, metadata=about("Further rights."))
    created_at = fields.DateTime(required=True, metadata=about("When it was made."))
    expires_at = fields.DateTime(
        required=True, allow_none=True, metadata=about("When it stops working.")
    )
    revoked_at = fields.DateTime(
        required=True, allow_none=True, metadata=about("When it was revoked.")
    )
    ssh_public_key = fields.String(
        required=True, allow_none=True, metadata=about("Key that its holder signs approvals with.")
    )


class MadeCredentialSchema(CredentialSchema):
    token = fields.String(
        required=True, metadata=about("The bearer token: shown this once, kept nowhere.")
    )


class PendingCredentialSchema(ApprovalSchema):
    token = fields.String(
        required=True,
        metadata=about("The bearer token: shown this once; it works once it is approved."),
    )


class CredentialPageSchema(PageSchema):
    items = fields.List(
        fields.Nested(CredentialSchema), required=True, metadata=about("The credentials.")
    )
