"""Records for tests of whatever uses the store: valid values, nothing cryptographic about them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from service.domain.callers import Caller, Credential, Role
from service.domain.digests import Descriptor, Digest
from service.domain.ids import new_id
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    Location,
    Purpose,
    Scheme,
)
from service.domain.media_types import OCI_MANIFEST
from service.domain.outbox import OrderKind
from service.domain.references import Repository
from service.domain.signing import Intent, Outcome, Statement
from service.ports.store import Completed
from service.store import Store

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
REPOSITORY = Repository("registry.example.com", "team/app")


def a_digest(name: object) -> Digest:
    return Digest(sha256(str(name).encode()).hexdigest())


def a_subject(digest: Digest) -> Descriptor:
    return Descriptor(OCI_MANIFEST, digest, 401)


def a_key(name: str = "release", purpose: Purpose = Purpose.IMAGE) -> tuple[Key, GeneratedKey]:
    key = Key(name, purpose, Algorithm.EC_P256, MOMENT)
    generated = GeneratedKey(
        cka_id=sha256(name.encode()).digest()[:16],
        public_key=b"public key of " + name.encode(),
        location=Location("token", "serial"),
        attributes=Attributes(sensitive=True, extractable=False),
    )
    return key, generated


def make_key(store: Store, name: str = "release", purpose: Purpose = Purpose.IMAGE) -> Key:
    key, generated = a_key(name, purpose)
    return store.keys.create(key, generated, actor="custodian")


def a_statement(
    digest: object = 1, *, repository: Repository = REPOSITORY, key: str = "release"
) -> Statement:
    return Statement(
        format="cosign",
        key=key,
        version=1,
        repository=repository,
        digest=a_digest(digest),
        identity=str(repository),
        annotations=(("org.example.commit", "f00\u00e4"),),
    )


def an_intent(
    statement: Statement | None = None,
    *,
    request_id: str = "req_1",
    item: int = 0,
    attach: bool = False,
    kind: OrderKind = OrderKind.ATTACH,
    credential_id: str = "cred_1",
) -> Intent:
    said = a_statement() if statement is None else statement
    return Intent(
        id=new_id("int"),
        request_id=request_id,
        item=item,
        statement=said,
        statement_hash=said.hash(),
        scheme=Scheme.ECDSA_P256_SHA256,
        payload=f"payload of {said.digest}".encode(),
        public_key=b"public key of " + said.key.encode(),
        credential_id=credential_id,
        attach=kind if attach else None,
        subject=a_subject(said.digest) if attach else None,
    )


def an_outcome(intent: Intent, *, force: bool = False) -> Outcome:
    signature_id = new_id("sig")
    return Outcome(
        intent=intent,
        signature_id=signature_id,
        signature=b"signature " + signature_id.encode(),
        log_entry=b"entry " + signature_id.encode(),
        force=force,
    )


def sign(
    store: Store,
    *intents: Intent,
    owner: str = "own_1",
    force: bool = False,
    order_seconds: float = 30.0,
) -> Sequence[Completed]:
    """Steps 6 and 9."""
    store.journal.intend(intents, owner=owner, seconds=30.0)
    outcomes = [an_outcome(intent, force=force) for intent in intents]
    return store.journal.complete(outcomes, owner=owner, order_lease_seconds=order_seconds)


def a_credential(
    name: str = "builder", role: Role = Role.BUILDER, *, expires_at: datetime | None = None
) -> Credential:
    caller = Caller(
        credential_id=f"cred_{name}",
        name=name,
        person=f"{name}@example.com",
        role=role,
        repositories=("registry.example.com/**",),
        keys=("release",),
        rights=frozenset({"sign-payload"}),
    )
    return Credential(caller, sha256(name.encode()).hexdigest(), MOMENT, expires_at)
