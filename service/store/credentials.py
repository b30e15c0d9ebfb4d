"""Credentials: hashes of tokens, and what their bearers may do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, bindparam, select, text, update
from sqlalchemy.exc import IntegrityError

from service.domain.audit import AuditEvent
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import from_millis, to_millis
from service.domain.errors import AdminExistsError, CredentialExistsError
from service.domain.pages import Page, PageRequest
from service.store.audit import record
from service.store.database import Database
from service.store.paging import limit_of, name_after, page_of
from service.store.rows import dump
from service.store.schema import credentials
from service.store.sql import database_now

_BY_HASH: Final = select(credentials).where(credentials.c.token_hash == bindparam("hash"))
_BY_NAME: Final = select(credentials).where(credentials.c.name == bindparam("name"))
_BY_ID: Final = select(credentials).where(credentials.c.id == bindparam("which"))
_CUSTODIANS: Final = (
    select(credentials)
    .where(credentials.c.role == Role.CUSTODIAN.value)
    .order_by(credentials.c.created_at, credentials.c.name)
)
_CHANGE: Final = (
    update(credentials)
    .where(credentials.c.id == bindparam("which"))
    .values(
        person=bindparam("new_person"),
        expires_at=bindparam("new_expiry"),
        ssh_public_key=bindparam("new_key"),
    )
)
_ADMINS: Final = select(credentials.c.id).where(
    credentials.c.role == Role.ADMIN.value,
    credentials.c.revoked_at.is_(None),
    credentials.c.expires_at.is_(None) | (credentials.c.expires_at > bindparam("now")),
)
_REVOKE: Final = (
    update(credentials)
    .where(credentials.c.name == bindparam("which"), credentials.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
# Two first admins at the same moment would each see none.
_ONE_AT_A_TIME: Final = text("LOCK TABLE credentials IN SHARE ROW EXCLUSIVE MODE")


class StoredCredentialBook:
    def __init__(self, database: Database) -> None:
        self._database = database

    def by_token_hash(self, token_hash: str) -> Credential | None:
        row = self._database.read(
            lambda connection: connection.execute(_BY_HASH, {"hash": token_hash}).one_or_none()
        )
        return None if row is None else credential_from(row)

    def create(self, credential: Credential, *, actor: str, only_if_no_admin: bool) -> None:
        """An admin counts while its credential is neither revoked nor expired."""
        try:
            self._database.write(
                partial(_create, credential, actor=actor, only_if_no_admin=only_if_no_admin)
            )
        except IntegrityError as error:
            raise CredentialExistsError from error

    def get(self, name: str) -> Credential | None:
        row = self._database.read(
            lambda connection: connection.execute(_BY_NAME, {"name": name}).one_or_none()
        )
        return None if row is None else credential_from(row)

    def with_id(self, credential_id: str) -> Credential | None:
        row = self._database.read(
            lambda connection: connection.execute(_BY_ID, {"which": credential_id}).one_or_none()
        )
        return None if row is None else credential_from(row)

    def custodians(self) -> Sequence[Credential]:
        rows = self._database.read(lambda connection: connection.execute(_CUSTODIANS).all())
        return [credential_from(row) for row in rows]

    def change(self, changed: Credential, *, actor: str) -> None:
        caller = changed.caller
        values = {
            "which": caller.credential_id,
            "new_person": caller.person,
            "new_expiry": _millis(changed.expires_at),
            "new_key": changed.ssh_public_key,
        }
        details = {
            "expires_at": _millis(changed.expires_at),
            "name": caller.name,
            "person": caller.person,
            "ssh_public_key": changed.ssh_public_key,
        }
        event = AuditEvent("credential.changed", actor, caller.credential_id, details)

        def run(connection: Connection) -> None:
            connection.execute(_CHANGE, values)
            record(connection, [event], now=database_now(connection))

        self._database.write(run)

    def list(self, page: PageRequest) -> Page[Credential]:
        """By name."""
        query = select(credentials)
        after = name_after(page)
        if after is not None:
            query = query.where(credentials.c.name > after)
        query = query.order_by(credentials.c.name).limit(limit_of(page) + 1)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return page_of(rows, page, credential_from, lambda row: str(row.name))

    def revoke(self, name: str, *, actor: str) -> Credential | None:
        """A second time changes nothing: the first moment is the one that counts."""

        def run(connection: Connection) -> Credential | None:
            now = database_now(connection)
            revoked = connection.execute(_REVOKE, {"which": name, "now": now}).rowcount
            row = connection.execute(_BY_NAME, {"name": name}).one_or_none()
            if row is None:
                return None
            if revoked:
                event = AuditEvent("credential.revoked", actor, row.id, {"name": name})
                record(connection, [event], now=now)
            return credential_from(row)

        return self._database.write(run)


def _create(
    credential: Credential, connection: Connection, *, actor: str, only_if_no_admin: bool
) -> None:
    now = database_now(connection)
    if only_if_no_admin:
        if connection.dialect.name == "postgresql":
            connection.execute(_ONE_AT_A_TIME)
        if connection.execute(_ADMINS, {"now": now}).first() is not None:
            raise AdminExistsError
    caller = credential.caller
    connection.execute(
        credentials.insert(),
        {
            "id": caller.credential_id,
            "name": caller.name,
            "person": caller.person,
            "role": caller.role.value,
            "repositories": dump(caller.repositories),
            "keys": dump(caller.keys),
            "rights": dump(sorted(caller.rights)),
            "token_hash": credential.token_hash,
            "created_at": to_millis(credential.created_at),
            "expires_at": _millis(credential.expires_at),
            "revoked_at": _millis(credential.revoked_at),
            "ssh_public_key": credential.ssh_public_key,
        },
    )
    event = AuditEvent(
        action="credential.created",
        actor=actor,
        subject=caller.credential_id,
        details={
            "expires_at": _millis(credential.expires_at),
            "first": only_if_no_admin,
            "keys": caller.keys,
            "name": caller.name,
            "person": caller.person,
            "repositories": caller.repositories,
            "rights": sorted(caller.rights),
            "role": caller.role,
            "ssh_public_key": credential.ssh_public_key,
        },
    )
    record(connection, [event], now=now)


def credential_from(row: Row[Any]) -> Credential:
    caller = Caller(
        credential_id=row.id,
        name=row.name,
        person=row.person,
        role=Role(row.role),
        repositories=tuple(orjson.loads(row.repositories)),
        keys=tuple(orjson.loads(row.keys)),
        rights=frozenset(orjson.loads(row.rights)),
    )
    return Credential(
        caller=caller,
        token_hash=row.token_hash,
        created_at=from_millis(row.created_at),
        expires_at=_moment(row.expires_at),
        revoked_at=_moment(row.revoked_at),
        ssh_public_key=row.ssh_public_key,
    )


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else to_millis(moment)


def _moment(millis: int | None) -> datetime | None:
    return None if millis is None else from_millis(millis)
