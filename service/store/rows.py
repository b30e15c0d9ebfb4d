"""Rows to domain values and back. A stored row was valid when written: it is not parsed anew."""

from __future__ import annotations

import base64
from hashlib import sha256
from typing import Any, Final

import orjson
from sqlalchemy import Row, Select, literal_column, select

from service.domain.clock import from_millis
from service.domain.digests import Descriptor, Digest
from service.domain.keys import Scheme
from service.domain.outbox import Order, OrderKind
from service.domain.references import Repository
from service.domain.signing import (
    NOT_ATTACHED,
    Attachment,
    AttachmentState,
    Intent,
    Signature,
    Statement,
    Timestamp,
)
from service.store.schema import (
    attachments,
    certificate_chains,
    key_versions,
    log_entries,
    signatures,
    timestamps,
)

STATEMENT_COLUMNS: Final = (
    "statement_hash",
    "format",
    "key",
    "version",
    "repository",
    "digest",
    "identity",
    "annotations",
    "scheme",
)

# Envelopes hold the certificates that their key version had then.
_CHAIN: Final = (
    select(certificate_chains.c.certificates)
    .where(
        certificate_chains.c.key == signatures.c.key,
        certificate_chains.c.version == signatures.c.version,
        certificate_chains.c.recorded_at <= signatures.c.created_at,
        # A literal: for a LIKE whose pattern is a parameter, SQLite plans the statement each time.
        signatures.c.format.like(literal_column("'notation%'")),
    )
    .order_by(certificate_chains.c.seq.desc())
    .limit(1)
    .scalar_subquery()
)

SIGNATURES: Final[Select[Any]] = (
    select(
        signatures,
        _CHAIN.label("chain"),
        log_entries.c.entry,
        key_versions.c.public_key,
        attachments.c.state.label("attachment"),
        attachments.c.manifest_digest,
        attachments.c.media_type,
        timestamps.c.authority.label("stamp_authority"),
        timestamps.c.at.label("stamped_at"),
        timestamps.c.reply.label("stamp"),
    )
    .join(log_entries, log_entries.c.signature_id == signatures.c.id)
    .join(
        key_versions,
        (key_versions.c.key == signatures.c.key) & (key_versions.c.version == signatures.c.version),
    )
    .outerjoin(attachments, attachments.c.signature_id == signatures.c.id)
    .outerjoin(timestamps, timestamps.c.signature_id == signatures.c.id)
)
"""Everything that a Signature is made of."""


def statement_values(intent: Intent) -> tuple[Any, ...]:
    """Return the values of STATEMENT_COLUMNS."""
    statement = intent.statement
    return (
        intent.statement_hash,
        statement.format,
        statement.key,
        statement.version,
        str(statement.repository),
        statement.digest.hex,
        statement.identity,
        dump(statement.annotations) if statement.annotations else "[]",
        intent.scheme.value,
    )


def dump(value: object) -> str:
    return orjson.dumps(value).decode()


def repository_from(text: str) -> Repository:
    host, _, path = text.partition("/")
    return Repository(host, path)


def statement_from(row: Row[Any]) -> Statement:
    return Statement(
        format=row.format,
        key=row.key,
        version=row.version,
        repository=repository_from(row.repository),
        digest=Digest(row.digest),
        identity=row.identity,
        annotations=tuple((name, value) for name, value in orjson.loads(row.annotations)),
    )


def signature_from(row: Row[Any]) -> Signature:
    return Signature(
        id=row.id,
        statement=statement_from(row),
        scheme=Scheme(row.scheme),
        payload=row.payload,
        signature=row.signature,
        log_entry=row.entry,
        created_at=from_millis(row.created_at),
        credential_id=row.credential_id,
        public_key=row.public_key,
        chain=certificates_from(row.chain),
        attachment=attachment_from(row),
        timestamp=None
        if row.stamp is None
        else Timestamp(row.stamp_authority, from_millis(row.stamped_at), row.stamp),
    )


def certificates_from(stored: str | None) -> tuple[bytes, ...]:
    listed = [] if stored is None else orjson.loads(stored)
    return tuple(base64.b64decode(der) for der in listed)


def attachment_from(row: Row[Any]) -> Attachment:
    if row.attachment is None:
        return NOT_ATTACHED
    return Attachment(
        AttachmentState(row.attachment),
        None if row.manifest_digest is None else Digest(row.manifest_digest),
        row.media_type,
    )


def order_from(row: Row[Any]) -> Order:
    return Order(
        id=row.id,
        kind=OrderKind(row.kind),
        repository=repository_from(row.repository),
        digest=Digest(row.digest),
        owner=row.owner,
        fencing=row.fencing,
        generation=row.generation,
        attempts=row.attempts,
        looks=row.looks,
        seen=row.seen,
        subject=_subject(row),
    )


def _subject(row: Row[Any]) -> Descriptor | None:
    if row.subject_media_type is None:
        return None
    return Descriptor(row.subject_media_type, Digest(row.digest), row.subject_size)


def payload_sha256(intent: Intent) -> str:
    return sha256(intent.payload).hexdigest()
