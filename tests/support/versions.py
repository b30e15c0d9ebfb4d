"""Key versions as the store would hold them, and messages to sign with their checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from service.domain.keys import (
    Algorithm,
    GeneratedKey,
    KeyState,
    KeyVersion,
    Location,
    Purpose,
    Scheme,
)
from service.domain.public_keys import public_key
from service.ports.hsm import ToSign


def version_of(
    made: GeneratedKey, algorithm: Algorithm, *, locations: Sequence[Location] | None = None
) -> KeyVersion:
    return KeyVersion(
        key="release",
        version=1,
        purpose=Purpose.IMAGE,
        algorithm=algorithm,
        state=KeyState.ACTIVE,
        cka_id=made.cka_id,
        public_key=made.public_key,
        locations=(made.location,) if locations is None else tuple(locations),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        attributes=made.attributes,
    )


def to_sign(version: KeyVersion, scheme: Scheme, message: bytes) -> ToSign:
    pinned = public_key(version.public_key)
    return ToSign(message, lambda signature: pinned.verify(scheme, message, signature))
