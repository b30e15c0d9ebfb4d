"""Keys and their versions: read, made and moved, each change with its record in one transaction.

A change locks the key and its versions first. Signatures lock their version in share mode
before they are recorded, so each of them comes wholly before a change or wholly after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.exc import IntegrityError

from service.domain import lifecycle
from service.domain.audit import AuditEvent
from service.domain.clock import rfc3339
from service.domain.errors import KeyExistsError, KeyNotFoundError, PublicKeyTakenError
from service.domain.findings import KEY_COMPROMISED, NewFinding, Severity
from service.domain.keys import (
    GeneratedKey,
    Key,
    KeyState,
    KeyVersion,
    Location,
    Purpose,
)
from service.domain.lifecycle import Move, NewVersion, version_of
from service.domain.pages import Page, PageRequest
from service.store import key_events
from service.store.audit import record
from service.store.certificates import put_chain
from service.store.database import Database
from service.store.fast import rows
from service.store.findings import open_finding
from service.store.key_rows import (
    BY_NAME,
    COMPROMISED,
    VERSIONS_FOR,
    insert_key,
    insert_version,
    key_named,
    keys_from,
    locked_key,
    update_version,
    versions_from,
)
from service.store.paging import limit_of, name_after, page_of
from service.store.schema import key_versions, keys
from service.store.sql import database_now

_OF_PUBLIC_KEY: Final = select(key_versions.c.key, key_versions.c.version).where(
    key_versions.c.public_key == bindparam("public_key")
)


class StoredKeyCatalog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Key | None:
        return self._database.read(lambda connection: key_named(connection, name))

    def list(self, purpose: Purpose | None, page: PageRequest) -> Page[Key]:
        """By name."""
        if purpose is None:
            query = select(keys).where(keys.c.purpose != Purpose.CA.value)
        else:
            query = select(keys).where(keys.c.purpose == purpose.value)
        after = name_after(page)
        if after is not None:
            query = query.where(keys.c.name > after)
        query = query.order_by(keys.c.name).limit(limit_of(page) + 1)

        def run(connection: Connection) -> Page[Key]:
            found = connection.execute(query).all()
            built = dict(
                zip((row.name for row in found), keys_from(connection, found), strict=True)
            )
            return page_of(found, page, lambda row: built[row.name], lambda row: str(row.name))

        return self._database.read(run)

    def trusted_by_purpose(self, purpose: Purpose) -> Sequence[KeyVersion]:
        def run(connection: Connection) -> Sequence[KeyVersion]:
            found = rows(connection, VERSIONS_FOR, {"purpose": purpose.value})
            return versions_from(connection, found)

        return self._database.read(run)

    def compromised(self) -> Sequence[KeyVersion]:
        return self._database.read(
            lambda connection: versions_from(connection, connection.execute(COMPROMISED).all())
        )

    def by_public_key(self, public_key: bytes) -> KeyVersion | None:
        def run(connection: Connection) -> KeyVersion | None:
            row = connection.execute(_OF_PUBLIC_KEY, {"public_key": public_key}).first()
            if row is None:
                return None
            return version_of(key_named(connection, row.key), row.key, row.version)

        return self._database.read(run)

    def create(
        self,
        key: Key,
        generated: GeneratedKey,
        *,
        actor: str,
        state: KeyState = KeyState.ACTIVE,
        adopted: bool = False,
    ) -> Key:
        version = lifecycle.first(key, generated, state=state)

        def run(connection: Connection) -> Key:
            if connection.execute(BY_NAME, {"name": key.name}).first() is not None:
                raise KeyExistsError(f"there is a key {key.name}")
            insert_key(connection, key)
            insert_version(connection, version)
            _record(connection, [key_events.made(version, actor=actor, adopted=adopted)])
            return lifecycle.with_versions(key, [version])

        try:
            return self._database.write(run)
        except IntegrityError as error:
            # Made by another process at this very moment, or the same key pair.
            if self.get(key.name) is not None:
                raise KeyExistsError(f"there is a key {key.name}") from error
            raise PublicKeyTakenError from error

    def add_version(
        self,
        new: NewVersion,
        generated: GeneratedKey,
        *,
        created_at: datetime,
        actor: str,
        adopted: bool = False,
    ) -> KeyVersion:
        def run(connection: Connection) -> KeyVersion:
            key = _locked(connection, new.key)
            made, *replaced = lifecycle.added(key, new, generated, created_at=created_at)
            for version in replaced:
                update_version(connection, version)
            insert_version(connection, made)
            if made.chain is not None:
                put_chain(connection, made.key, made.version, made.chain, actor=actor)
            retired = [version_of(key, key.name, version.version) for version in replaced]
            events = [key_events.made(made, actor=actor, adopted=adopted)]
            _record(connection, [*events, *key_events.replaced(retired, made, actor=actor)])
            return made

        try:
            return self._database.write(run)
        except IntegrityError as error:
            raise PublicKeyTakenError from error

    def add_location(self, name: str, number: int, place: Location, *, actor: str) -> KeyVersion:
        def run(connection: Connection) -> KeyVersion:
            version = version_of(_locked(connection, name), name, number)
            placed = lifecycle.placed(version, place)
            if placed != version:
                update_version(connection, placed)
                _record(connection, [key_events.placed(placed, place, actor=actor)])
            return placed

        try:
            return self._database.write(run)
        except IntegrityError as error:
            raise PublicKeyTakenError(
                "another version lies on this token under the same CKA_ID"
            ) from error

    def move(self, move: Move, *, actor: str) -> KeyVersion:
        def run(connection: Connection) -> KeyVersion:
            key = _locked(connection, move.key)
            before = version_of(key, move.key, move.version)
            after, *replaced = lifecycle.moved(key, move)
            for version in (*replaced, after):
                update_version(connection, version)
            retired = [version_of(key, key.name, version.version) for version in replaced]
            now = database_now(connection)
            events = [key_events.moved(before, after, move, actor=actor)]
            events += key_events.replaced(retired, after, actor=actor)
            record(connection, events, now=now)
            if after.state is KeyState.COMPROMISED:
                open_finding(connection, _compromise(after, actor), now=now)
            return after

        return self._database.write(run)


def _locked(connection: Connection, name: str) -> Key:
    key = locked_key(connection, name)
    if key is None:
        raise KeyNotFoundError(f"there is no key {name!r}")
    return key


def _record(connection: Connection, events: Sequence[AuditEvent]) -> None:
    record(connection, events, now=database_now(connection))


def _compromise(version: KeyVersion, actor: str) -> NewFinding:
    since = version.compromised_since
    return NewFinding(
        KEY_COMPROMISED,
        Severity.CRITICAL,
        version.subject,
        {
            "by": actor,
            "fingerprint": version.fingerprint,
            "key": version.key,
            "reason": version.compromise_reason,
            "since": None if since is None else rfc3339(since),
            "version": version.version,
        },
    )
