"""The certificate chains of key versions: one in force for each, and all that were before it."""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, bindparam, select, text, update

from service.domain.audit import AuditEvent
from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.clock import from_millis, rfc3339, to_millis
from service.domain.errors import CertificateSubjectTakenError
from service.domain.subjects import Subject
from service.store.audit import record
from service.store.rows import certificates_from, dump
from service.store.schema import IN_FORCE, certificate_chains, key_versions
from service.store.sql import database_now

CHAIN_COLUMNS: Final = tuple(
    certificate_chains.c[name].label(f"chain_{name}")
    for name in ("origin", "subject", "certificates", "not_before", "not_after")
)
CHAIN_OF_VERSION: Final = (
    (certificate_chains.c.key == key_versions.c.key)
    & (certificate_chains.c.version == key_versions.c.version)
    & IN_FORCE
)
"""Beside a version: what to select, and the condition of the outer join."""

_OTHERS: Final = select(
    certificate_chains.c.key, certificate_chains.c.version, certificate_chains.c.subject
).where(
    (certificate_chains.c.key != bindparam("name"))
    | (certificate_chains.c.version != bindparam("number"))
)
_REPLACE: Final = (
    update(certificate_chains)
    .where(
        certificate_chains.c.key == bindparam("of_key"),
        certificate_chains.c.version == bindparam("of_version"),
        IN_FORCE,
    )
    .values(in_force=False)
)
# Two chains at the same moment would each not see the other's subject.
_ONE_AT_A_TIME: Final = text("LOCK TABLE certificate_chains IN SHARE ROW EXCLUSIVE MODE")


def chain_from(row: Row[Any]) -> CertificateChain | None:
    """Read the columns of an outer join."""
    if row.chain_origin is None:
        return None
    return CertificateChain(
        origin=ChainOrigin(row.chain_origin),
        certificates=certificates_from(row.chain_certificates),
        subject=_subject(row.chain_subject),
        not_before=from_millis(row.chain_not_before),
        not_after=from_millis(row.chain_not_after),
    )


def check_subject(connection: Connection, name: str, number: int, subject: Subject) -> None:
    """Raises CertificateSubjectTakenError."""
    for row in connection.execute(_OTHERS, {"name": name, "number": number}):
        other = _subject(row.subject)
        if subject.covers(other) or other.covers(subject):
            raise CertificateSubjectTakenError(
                f"{row.key} version {row.version} has or had the subject {other.text()!r}, which "
                f"verifiers cannot tell from {subject.text()!r}"
            )


def put_chain(
    connection: Connection, name: str, number: int, chain: CertificateChain, *, actor: str
) -> None:
    """Make it the version's chain within the caller's transaction, with the audit event.

    Raises:
        CertificateSubjectTakenError: the caller's transaction must not go on.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_ONE_AT_A_TIME)
    check_subject(connection, name, number, chain.subject)
    now = database_now(connection)
    connection.execute(_REPLACE, {"of_key": name, "of_version": number})
    connection.execute(
        certificate_chains.insert(),
        {
            "key": name,
            "version": number,
            "in_force": True,
            "origin": chain.origin.value,
            "subject": dump(chain.subject.attributes),
            "certificates": dump([base64.b64encode(der).decode() for der in chain.certificates]),
            "not_before": to_millis(chain.not_before),
            "not_after": to_millis(chain.not_after),
            "recorded_at": now,
        },
    )
    details = {
        "origin": chain.origin,
        "subject": chain.subject.text(),
        "thumbprints": chain.thumbprints,
        "not_after": rfc3339(chain.not_after),
    }
    record(
        connection,
        [AuditEvent("certificate.recorded", actor, f"{name}/{number}", details)],
        now=now,
    )


def _subject(stored: str) -> Subject:
    return Subject(tuple((name, value) for name, value in orjson.loads(stored)))
