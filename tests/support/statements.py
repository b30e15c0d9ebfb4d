"""Statements and key versions for tests of formats: valid values, no store and no token."""

from __future__ import annotations

from datetime import UTC, datetime

from service.domain.digests import Descriptor, Digest
from service.domain.keys import Algorithm, KeyState, KeyVersion, Purpose
from service.domain.media_types import OCI_MANIFEST
from service.domain.references import Repository
from service.domain.signing import Statement

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REPOSITORY = Repository("127.0.0.1:5000", "samples/legacy")


def a_version(
    public_key: bytes,
    algorithm: Algorithm = Algorithm.EC_P256,
    *,
    purpose: Purpose = Purpose.IMAGE,
    key: str = "release",
) -> KeyVersion:
    return KeyVersion(
        key=key,
        version=1,
        purpose=purpose,
        algorithm=algorithm,
        state=KeyState.ACTIVE,
        cka_id=b"1",
        public_key=public_key,
        locations=(),
        created_at=MOMENT,
    )


def a_statement(
    digest: Digest,
    *,
    form: str = "cosign",
    identity: str = str(REPOSITORY),
    annotations: tuple[tuple[str, str], ...] = (),
    repository: Repository = REPOSITORY,
) -> Statement:
    return Statement(form, "release", 1, repository, digest, identity, annotations)


def a_subject(digest: Digest, media_type: str = OCI_MANIFEST, size: int = 401) -> Descriptor:
    return Descriptor(media_type, digest, size)
