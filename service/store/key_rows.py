"""Rows of keys, versions and locations: read into domain values, and written from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select, bindparam, delete, select, update

from service.domain.clock import from_millis, to_millis
from service.domain.keys import (
    Algorithm,
    Attributes,
    Key,
    KeyState,
    KeyVersion,
    Location,
    Purpose,
)
from service.store.certificates import CHAIN_COLUMNS, CHAIN_OF_VERSION, chain_from
from service.store.fast import rows
from service.store.rows import dump
from service.store.schema import certificate_chains, key_locations, key_versions, keys
from service.store.sql import any_of

BY_NAME: Final = select(keys).where(keys.c.name == bindparam("name"))
_VERSIONS: Final[Select[Any]] = (
    select(key_versions, keys.c.purpose, *CHAIN_COLUMNS)
    .join(keys, keys.c.name == key_versions.c.key)
    .outerjoin(certificate_chains, CHAIN_OF_VERSION)
    .order_by(key_versions.c.key, key_versions.c.version)
)
_VERSIONS_OF: Final = _VERSIONS.where(any_of(key_versions.c.key, "names"))
VERSIONS_FOR: Final = _VERSIONS.where(keys.c.purpose == bindparam("purpose"))
CERTIFIED: Final = _VERSIONS.where(certificate_chains.c.seq.is_not(None))
COMPROMISED: Final = _VERSIONS.where(key_versions.c.ever_compromised)
_LOCATIONS: Final = (
    select(key_locations)
    .where(any_of(key_locations.c.key, "names"))
    .order_by(key_locations.c.position)
)
_WHOLE: Final[Select[Any]] = (
    select(
        keys.c.name,
        keys.c.purpose,
        keys.c.algorithm.label("key_algorithm"),
        keys.c.created_at.label("key_created_at"),
        key_versions,
        *CHAIN_COLUMNS,
        key_locations.c.token,
        key_locations.c.serial,
        key_locations.c.state.label("location_state"),
    )
    .outerjoin(key_versions, key_versions.c.key == keys.c.name)
    .outerjoin(certificate_chains, CHAIN_OF_VERSION)
    .outerjoin(
        key_locations,
        (key_locations.c.key == key_versions.c.key)
        & (key_locations.c.version == key_versions.c.version),
    )
    .where(keys.c.name == bindparam("name"))
    .order_by(key_versions.c.version, key_locations.c.position)
)
# Signatures lock their versions in share mode (completion, step 2), foreign keys still less:
# a change waits for the former only.
_LOCK_KEY: Final = (
    select(keys.c.name).where(keys.c.name == bindparam("name")).with_for_update(key_share=True)
)
_LOCK_VERSIONS: Final = (
    select(key_versions.c.version)
    .where(key_versions.c.key == bindparam("name"))
    .order_by(key_versions.c.version)
    .with_for_update(key_share=True)
)
_THIS: Final = (
    key_versions.c.key == bindparam("of_key"),
    key_versions.c.version == bindparam("of_version"),
)
_UPDATE: Final = (
    update(key_versions)
    .where(*_THIS)
    .values(
        state=bindparam("state"),
        compromised_since=bindparam("compromised_since"),
        ever_compromised=bindparam("ever_compromised"),
        compromise_reason=bindparam("compromise_reason"),
        alongside=bindparam("alongside"),
    )
)
_FORGET_LOCATIONS: Final = delete(key_locations).where(
    key_locations.c.key == bindparam("of_key"),
    key_locations.c.version == bindparam("of_version"),
)


def locked_key(connection: Connection, name: str) -> Key | None:
    """Return the key as it is, and as it stays until this transaction ends."""
    values = {"name": name}
    if connection.execute(_LOCK_KEY, values).first() is None:
        return None
    connection.execute(_LOCK_VERSIONS, values).all()
    [found] = keys_from(connection, connection.execute(BY_NAME, values).all())
    return found


def insert_key(connection: Connection, key: Key) -> None:
    connection.execute(
        keys.insert(),
        {
            "name": key.name,
            "purpose": key.purpose.value,
            "algorithm": key.algorithm.value,
            "created_at": to_millis(key.created_at),
        },
    )


def insert_version(connection: Connection, version: KeyVersion) -> None:
    connection.execute(
        key_versions.insert(),
        {
            "key": version.key,
            "version": version.version,
            "cka_id": version.cka_id,
            "public_key": version.public_key,
            "algorithm": version.algorithm.value,
            "attributes": dump(asdict(version.attributes)),
            "created_at": to_millis(version.created_at),
            **_life(version),
        },
    )
    _insert_locations(connection, version)


def update_version(connection: Connection, version: KeyVersion) -> None:
    """Write what may change of a version: its life, and where it lies."""
    which = {"of_key": version.key, "of_version": version.version}
    connection.execute(_UPDATE, {**which, **_life(version)})
    connection.execute(_FORGET_LOCATIONS, which)
    _insert_locations(connection, version)


def _life(version: KeyVersion) -> dict[str, Any]:
    since = version.compromised_since
    return {
        "state": version.state.value,
        "compromised_since": None if since is None else to_millis(since),
        "ever_compromised": version.ever_compromised,
        "compromise_reason": version.compromise_reason,
        "alongside": version.alongside,
    }


def _insert_locations(connection: Connection, version: KeyVersion) -> None:
    connection.execute(
        key_locations.insert(),
        [
            {
                "key": version.key,
                "version": version.version,
                "position": position,
                "cka_id": version.cka_id,
                **asdict(location),
            }
            for position, location in enumerate(version.locations)
        ],
    )


def keys_from(connection: Connection, listed: Sequence[Row[Any]]) -> Sequence[Key]:
    names = [row.name for row in listed]
    versions: dict[str, list[KeyVersion]] = {name: [] for name in names}
    found = connection.execute(_VERSIONS_OF, {"names": names}).all()
    for version in versions_from(connection, found):
        versions[version.key].append(version)
    return [
        Key(
            name=row.name,
            purpose=Purpose(row.purpose),
            algorithm=Algorithm(row.algorithm),
            created_at=from_millis(row.created_at),
            versions=tuple(versions[row.name]),
        )
        for row in listed
    ]


def versions_from(connection: Connection, found: Iterable[Row[Any]]) -> Sequence[KeyVersion]:
    listed = list(found)
    if not listed:
        return ()
    names = sorted({row.key for row in listed})
    locations: dict[tuple[str, int], list[Location]] = {}
    for row in rows(connection, _LOCATIONS, {"names": names}):
        place = Location(row.token, row.serial, row.state)
        locations.setdefault((row.key, row.version), []).append(place)
    return [_version(row, locations.get((row.key, row.version), ())) for row in listed]


def key_named(connection: Connection, name: str) -> Key | None:
    """Return one key in one statement: every signing request asks for one."""
    found = rows(connection, _WHOLE, {"name": name})
    if not found:
        return None
    locations: dict[int, list[Location]] = {}
    firsts: dict[int, Row[Any]] = {}
    for row in found:
        if row.version is not None:
            firsts.setdefault(row.version, row)
            if row.token is not None:
                place = Location(row.token, row.serial, row.location_state)
                locations.setdefault(row.version, []).append(place)
    head = found[0]
    return Key(
        name=head.name,
        purpose=Purpose(head.purpose),
        algorithm=Algorithm(head.key_algorithm),
        created_at=from_millis(head.key_created_at),
        versions=tuple(_version(row, locations.get(row.version, ())) for row in firsts.values()),
    )


def _version(row: Row[Any], locations: Sequence[Location]) -> KeyVersion:
    since = row.compromised_since
    return KeyVersion(
        key=row.key,
        version=row.version,
        purpose=Purpose(row.purpose),
        algorithm=Algorithm(row.algorithm),
        state=KeyState(row.state),
        cka_id=row.cka_id,
        public_key=row.public_key,
        locations=tuple(locations),
        created_at=from_millis(row.created_at),
        attributes=Attributes(**orjson.loads(row.attributes)),
        compromised_since=None if since is None else from_millis(since),
        ever_compromised=row.ever_compromised,
        compromise_reason=row.compromise_reason,
        alongside=row.alongside,
        chain=chain_from(row),
    )
