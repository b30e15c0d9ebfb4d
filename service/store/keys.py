"""Keys, their versions with pinned public keys, and where the private keys lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select, bindparam, select
from sqlalchemy.exc import IntegrityError

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis, to_millis
from service.domain.errors import KeyExistsError
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    KeyState,
    KeyVersion,
    Location,
    Purpose,
)
from service.domain.pages import Page, PageRequest
from service.store.audit import record
from service.store.database import Database
from service.store.paging import limit_of, name_after, page_of
from service.store.rows import dump
from service.store.schema import key_locations, key_versions, keys
from service.store.sql import any_of, database_now

_KEY: Final = select(keys).where(keys.c.name == bindparam("name"))
_VERSIONS: Final[Select[Any]] = (
    select(key_versions, keys.c.purpose, keys.c.algorithm)
    .join(keys, keys.c.name == key_versions.c.key)
    .order_by(key_versions.c.key, key_versions.c.version)
)
_VERSIONS_OF: Final = _VERSIONS.where(any_of(key_versions.c.key, "names"))
_VERSIONS_FOR: Final = _VERSIONS.where(keys.c.purpose == bindparam("purpose"))
_LOCATIONS: Final = (
    select(key_locations)
    .where(any_of(key_locations.c.key, "names"))
    .order_by(key_locations.c.position)
)


class StoredKeyCatalog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Key | None:
        def run(connection: Connection) -> Key | None:
            rows = connection.execute(_KEY, {"name": name}).all()
            found = _keys(connection, rows)
            return found[0] if found else None

        return self._database.read(run)

    def list(self, purpose: Purpose | None, page: PageRequest) -> Page[Key]:
        """By name."""
        query = select(keys)
        if purpose is not None:
            query = query.where(keys.c.purpose == purpose.value)
        after = name_after(page)
        if after is not None:
            query = query.where(keys.c.name > after)
        query = query.order_by(keys.c.name).limit(limit_of(page) + 1)

        def run(connection: Connection) -> Page[Key]:
            rows = connection.execute(query).all()
            built = dict(zip((row.name for row in rows), _keys(connection, rows), strict=True))
            return page_of(rows, page, lambda row: built[row.name], lambda row: str(row.name))

        return self._database.read(run)

    def trusted_by_purpose(self, purpose: Purpose) -> Sequence[KeyVersion]:
        def run(connection: Connection) -> Sequence[KeyVersion]:
            rows = connection.execute(_VERSIONS_FOR, {"purpose": purpose.value}).all()
            return _versions(connection, rows)

        return self._database.read(run)

    def create(self, key: Key, generated: GeneratedKey, *, actor: str) -> Key:
        version = KeyVersion(
            key=key.name,
            version=1,
            purpose=key.purpose,
            algorithm=key.algorithm,
            state=KeyState.ACTIVE,
            cka_id=generated.cka_id,
            public_key=generated.public_key,
            locations=(generated.location,),
            created_at=key.created_at,
            attributes=generated.attributes,
        )
        try:
            self._database.write(partial(_create, key, version, actor=actor))
        except IntegrityError as error:
            raise KeyExistsError from error
        return replace(key, versions=(version,))


def _create(key: Key, version: KeyVersion, connection: Connection, *, actor: str) -> None:
    created_at = to_millis(key.created_at)
    connection.execute(
        keys.insert(),
        {
            "name": key.name,
            "purpose": key.purpose.value,
            "algorithm": key.algorithm.value,
            "created_at": created_at,
        },
    )
    connection.execute(
        key_versions.insert(),
        {
            "key": version.key,
            "version": version.version,
            "state": version.state.value,
            "cka_id": version.cka_id,
            "public_key": version.public_key,
            "attributes": dump(asdict(version.attributes)),
            "created_at": created_at,
            "compromised_since": None,
            "ever_compromised": False,
        },
    )
    connection.execute(
        key_locations.insert(),
        [
            {
                "key": version.key,
                "version": version.version,
                "position": position,
                **asdict(location),
            }
            for position, location in enumerate(version.locations)
        ],
    )
    event = AuditEvent(
        action="key.created",
        actor=actor,
        subject=key.name,
        details={
            "algorithm": key.algorithm,
            "attributes": asdict(version.attributes),
            "cka_id": version.cka_id.hex(),
            "fingerprint": version.fingerprint,
            "locations": [asdict(location) for location in version.locations],
            "purpose": key.purpose,
            "version": version.version,
        },
    )
    record(connection, [event], now=database_now(connection))


def _keys(connection: Connection, rows: Sequence[Row[Any]]) -> Sequence[Key]:
    names = [row.name for row in rows]
    versions: dict[str, list[KeyVersion]] = {name: [] for name in names}
    found = connection.execute(_VERSIONS_OF, {"names": names}).all()
    for version in _versions(connection, found):
        versions[version.key].append(version)
    return [
        Key(
            name=row.name,
            purpose=Purpose(row.purpose),
            algorithm=Algorithm(row.algorithm),
            created_at=from_millis(row.created_at),
            versions=tuple(versions[row.name]),
        )
        for row in rows
    ]


def _versions(connection: Connection, rows: Iterable[Row[Any]]) -> Sequence[KeyVersion]:
    listed = list(rows)
    names = sorted({row.key for row in listed})
    locations: dict[tuple[str, int], list[Location]] = {}
    for row in connection.execute(_LOCATIONS, {"names": names}):
        place = Location(row.token, row.serial, row.state)
        locations.setdefault((row.key, row.version), []).append(place)
    return [
        KeyVersion(
            key=row.key,
            version=row.version,
            purpose=Purpose(row.purpose),
            algorithm=Algorithm(row.algorithm),
            state=KeyState(row.state),
            cka_id=row.cka_id,
            public_key=row.public_key,
            locations=tuple(locations.get((row.key, row.version), ())),
            created_at=from_millis(row.created_at),
            attributes=Attributes(**orjson.loads(row.attributes)),
            compromised_since=None
            if row.compromised_since is None
            else from_millis(row.compromised_since),
            ever_compromised=row.ever_compromised,
        )
        for row in listed
    ]
