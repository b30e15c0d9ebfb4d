"""What becomes of a key and its versions: pure, so that every store decides alike.

A store reads the key under a lock, asks here what changes, and writes exactly that. Each
function returns the versions that are new or different, the one it is about first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from service.domain.certificates import CertificateChain
from service.domain.errors import InvalidRequestError, KeyMoveForbiddenError, KeyNotFoundError
from service.domain.keys import (
    NEXT_STATES,
    Algorithm,
    GeneratedKey,
    Key,
    KeyState,
    KeyVersion,
    Location,
)


@dataclass(frozen=True, slots=True)
class Move:
    """One version to another state.

    `since` is for a compromise: signatures proven to be older still count. `alongside` leaves
    other versions active where this one becomes it; None: as was said when it was made.
    """

    key: str
    version: int
    to: KeyState
    reason: str | None = None
    since: datetime | None = None
    alongside: bool | None = None

    @property
    def subject(self) -> str:
        return f"{self.key}/{self.version}"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that is to be made for a key that exists."""

    key: str
    algorithm: Algorithm
    state: KeyState = KeyState.ACTIVE
    alongside: bool = False
    chain: CertificateChain | None = None
    """Its certificates, where it gets any with its making."""


def version_of(key: Key | None, name: str, number: int) -> KeyVersion:
    """Raises KeyNotFoundError."""
    if key is None:
        raise KeyNotFoundError(f"there is no key {name!r}")
    found = key.version(number)
    if found is None:
        raise KeyNotFoundError(f"{name} has no version {number}")
    return found


def check_move(version: KeyVersion, move: Move) -> None:
    """Check a move against the table of states.

    Raises:
        KeyMoveForbiddenError: it names the moves that are possible.
        InvalidRequestError: `since` or `alongside` has no place here.
    """
    possible = NEXT_STATES[version.state]
    if move.to not in possible:
        allowed = tuple(state for state in KeyState if state in possible)
        where = f"{version.key} version {version.version} is {version.state}"
        choice = " or ".join(allowed) if allowed else "nothing else any more"
        raise KeyMoveForbiddenError(
            f"{where} and cannot become {move.to}; it can become {choice}", allowed=allowed
        )
    if move.since is not None and move.to is not KeyState.COMPROMISED:
        raise InvalidRequestError(
            "since is for a compromise", errors={"since": ["only with the state compromised"]}
        )
    if move.alongside is not None and move.to is not KeyState.ACTIVE:
        raise InvalidRequestError(
            "alongside is for an activation",
            errors={"alongside": ["only with the state active"]},
        )


def moved(key: Key, move: Move) -> tuple[KeyVersion, ...]:
    """Raises KeyNotFoundError, and what `check_move` raises."""
    version = version_of(key, move.key, move.version)
    check_move(version, move)
    after = replace(version, state=move.to)
    match move.to:
        case KeyState.COMPROMISED:
            after = replace(
                after,
                ever_compromised=True,
                compromised_since=move.since,
                compromise_reason=move.reason,
            )
        case KeyState.DESTROYED:
            gone = tuple(replace(place, state="missing") for place in version.locations)
            after = replace(after, locations=gone)
        case KeyState.ACTIVE if version.state is KeyState.STAGED:
            alongside = version.alongside if move.alongside is None else move.alongside
            after = replace(after, alongside=alongside)
            return (after, *_replaced(key, by=after))
        case _:
            # Leaving suspension takes nobody's place: what became active meanwhile stays so.
            pass
    return (after,)


def first(key: Key, generated: GeneratedKey, *, state: KeyState) -> KeyVersion:
    """Return the first version of a new key."""
    return _made(key, NewVersion(key.name, key.algorithm, state), generated, key.created_at)


def added(
    key: Key, new: NewVersion, generated: GeneratedKey, *, created_at: datetime
) -> tuple[KeyVersion, ...]:
    """Add a version; where it is active at once and not alongside, it takes the others' place."""
    made = _made(key, new, generated, created_at)
    return (made, *_replaced(key, by=made))


def placed(version: KeyVersion, place: Location) -> KeyVersion:
    """Return the version with one more location, or unchanged if it is known there."""
    known = {(known.token, known.serial) for known in version.locations}
    if (place.token, place.serial) in known:
        return version
    return replace(version, locations=(*version.locations, place))


def with_versions(key: Key, changed: Sequence[KeyVersion]) -> Key:
    """Return the key with these versions in the place of those of the same number, or added."""
    numbered = {version.version: version for version in (*key.versions, *changed)}
    return replace(key, versions=tuple(numbered[number] for number in sorted(numbered)))


def fingerprint_of(*facts: object) -> str:
    """Return a digest of what an act depends on; facts are JSON values."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _made(key: Key, new: NewVersion, generated: GeneratedKey, created_at: datetime) -> KeyVersion:
    return KeyVersion(
        key=key.name,
        version=key.newest() + 1,
        purpose=key.purpose,
        algorithm=new.algorithm,
        state=new.state,
        cka_id=generated.cka_id,
        public_key=generated.public_key,
        locations=(generated.location,),
        created_at=created_at,
        attributes=generated.attributes,
        alongside=new.alongside,
        chain=new.chain,
    )


def _replaced(key: Key, *, by: KeyVersion) -> tuple[KeyVersion, ...]:
    if by.state is not KeyState.ACTIVE or by.alongside:
        return ()
    return tuple(
        replace(version, state=KeyState.RETIRED)
        for version in key.active()
        if version.version != by.version
    )
