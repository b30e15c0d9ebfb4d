"""The service's operations over ports that live in memory, for tests of the edge.

Authentication, keys, credentials, records, slots and readiness are the production code. What
signs and verifies is a small implementation of its own, steered by the repository's name: in
`fail/<code>` every image fails with that error, in `verdict/<verdict>` every image has that
verdict, and `bug/…` stands for what nobody foresaw.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from service.domain import lifecycle
from service.domain.acts import ActKind
from service.domain.audit import AuditEvent, AuditFilter, LoggedEvent
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import SystemClock, rfc3339
from service.domain.digests import Digest
from service.domain.errors import (
    AdminExistsError,
    CredentialExistsError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    ImageNotFoundError,
    InvalidReferenceError,
    InvalidRequestError,
    KeyExistsError,
    KeyNotAdoptableError,
    KeyNotFoundError,
    KeyUnprotectedError,
    PayloadNotSignableError,
    PublicKeyTakenError,
    RequestInProgressError,
    ServiceError,
    StoreUnavailableError,
    TokenNotFoundError,
    UnsupportedAlgorithmError,
    UnsupportedFormatError,
    by_code,
)
from service.domain.findings import KEY_COMPROMISED, Finding, NewFinding, Severity
from service.domain.ids import new_id
from service.domain.keys import (
    CALLERS_PURPOSES,
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    KeyState,
    KeyVersion,
    Location,
    Purpose,
    Scheme,
)
from service.domain.lifecycle import Move, NewVersion
from service.domain.log import LogName, SignedHead, Tree
from service.domain.outbox import AttachmentStatus, OrderKind, OrderState, OrderStatus
from service.domain.pages import Page, PageRequest
from service.domain.payloads import PayloadRequest, SignedPayload
from service.domain.quorum import QuorumRules
from service.domain.references import NO_REPOSITORY, Reference, Repository
from service.domain.signing import (
    Artifact,
    Attachment,
    AttachmentState,
    Signature,
    SignedItem,
    SigningRequest,
    Statement,
    UnknownOutcome,
)
from service.domain.switches import Switch
from service.domain.tokens import new_token
from service.domain.verdicts import ImageVerdict, Reason, ReasonCode, SignatureVerdict, Verdict
from service.domain.withdrawals import WithdrawalList
from service.formats import payloads
from service.identity import TokenAuthenticator
from service.operations import (
    Approvals,
    Certificates,
    Credentials,
    Custody,
    Keys,
    Lookaside,
    Maintenance,
    Metrics,
    OpenPGPKeys,
    Operations,
    QuorumPolicy,
    RateLimits,
    Readiness,
    Records,
    ReissueJobs,
    SeeFindings,
    SigningJobs,
    Slots,
    TakeMinutes,
    Timestamps,
    TrustFiles,
    Withdrawals,
)
from service.operations.acts import Acts
from service.operations.adopt_key import AdoptKey
from service.operations.custodians import CustodianCredentials
from service.operations.generate_key import GenerateKey, Generation
from service.operations.log import ReadAuditLog, ReadLog, SearchAudit, TrustedLogs
from service.operations.move_version import DestroyVersion, MoveVersion
from service.operations.quorum import LoosenRules, Quorum
from service.operations.renewal import LeaseRenewer
from service.policy.patterns import any_matches
from service.policy.rates import RatePolicy
from service.ports.hsm import TokenHealth, TokenMechanism, TokenStatus, ToSign
from service.ports.metrics import OUTBOX_ORDERS, Reading
from service.ports.minutes import RecordedEvent
from service.ports.store import FindingFilter, Lease, SignatureFilter
from service.store.audit import frame, stamped
from service.verification.verdicts import with_children
from tests.support.approvals import MemoryApprovals, MemoryQuorum
from tests.support.attesting import SoftwareAttesting
from tests.support.certificates import Certifying
from tests.support.jobs import MemoryJobs
from tests.support.memory import MemoryBuckets, MemoryMeter

T = TypeVar("T")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def paged(items: Sequence[T], page: PageRequest) -> Page[T]:
    """Cut a page out; the cursor is the next index, and a forged one is refused."""
    cursor = page.cursor or "0"
    if not (cursor.isascii() and cursor.isdecimal()):
        raise InvalidRequestError("no such cursor", errors={"cursor": ["unknown"]})
    start = int(cursor)
    end = start + page.limit
    return Page(tuple(items[start:end]), str(end) if end < len(items) else None)


class MemoryBook:
    def __init__(self) -> None:
        self.credentials: dict[str, Credential] = {}
        self.look_ups = 0
        self.down = False

    def by_token_hash(self, token_hash: str) -> Credential | None:
        self.look_ups += 1
        if self.down:
            raise StoreUnavailableError
        found = [c for c in self.credentials.values() if c.token_hash == token_hash]
        return found[0] if found else None

    def create(self, credential: Credential, *, actor: str, only_if_no_admin: bool) -> None:
        admins = [c for c in self.credentials.values() if c.caller.role is Role.ADMIN]
        if only_if_no_admin and admins:
            raise AdminExistsError
        if credential.caller.name in self.credentials:
            raise CredentialExistsError(f"there is a credential {credential.caller.name}")
        self.credentials[credential.caller.name] = credential

    def get(self, name: str) -> Credential | None:
        return self.credentials.get(name)

    def with_id(self, credential_id: str) -> Credential | None:
        return self.by_id().get(credential_id)

    def list(self, page: PageRequest) -> Page[Credential]:
        return paged(list(self.credentials.values()), page)

    def custodians(self) -> Sequence[Credential]:
        return [c for c in self.credentials.values() if c.caller.role is Role.CUSTODIAN]

    def change(self, changed: Credential, *, actor: str) -> None:
        self.credentials[changed.caller.name] = changed

    def by_id(self) -> Mapping[str, Credential]:
        return {c.caller.credential_id: c for c in self.credentials.values()}

    def revoke(self, name: str, *, actor: str) -> Credential | None:
        found = self.credentials.get(name)
        if found is not None and found.revoked_at is None:
            found = self.credentials[name] = replace(found, revoked_at=SystemClock().now())
        return found


class MemoryCatalog:
    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.findings = MemoryFindings()

    def get(self, name: str) -> Key | None:
        return self.keys.get(name)

    def list(self, purpose: Purpose | None, page: PageRequest) -> Page[Key]:
        wanted = CALLERS_PURPOSES if purpose is None else (purpose,)
        return paged([k for k in self.keys.values() if k.purpose in wanted], page)

    def trusted_by_purpose(self, purpose: Purpose) -> Sequence[KeyVersion]:
        return [v for k in self.keys.values() if k.purpose is purpose for v in k.versions]

    def compromised(self) -> Sequence[KeyVersion]:
        return [v for k in self.keys.values() for v in k.versions if v.ever_compromised]

    def by_public_key(self, public_key: bytes) -> KeyVersion | None:
        every = (v for k in self.keys.values() for v in k.versions)
        return next((v for v in every if v.public_key == public_key), None)

    def create(
        self,
        key: Key,
        generated: GeneratedKey,
        *,
        actor: str,
        state: KeyState = KeyState.ACTIVE,
        adopted: bool = False,
    ) -> Key:
        if key.name in self.keys:
            raise KeyExistsError(f"there is a key {key.name}")
        self._refuse_taken(generated)
        return self._put(key, lifecycle.first(key, generated, state=state))

    def add_version(
        self,
        new: NewVersion,
        generated: GeneratedKey,
        *,
        created_at: datetime,
        actor: str,
        adopted: bool = False,
    ) -> KeyVersion:
        key = self._key(new.key)
        self._refuse_taken(generated)
        changed = lifecycle.added(key, new, generated, created_at=created_at)
        self._put(key, *changed)
        return changed[0]

    def add_location(self, name: str, number: int, place: Location, *, actor: str) -> KeyVersion:
        key = self._key(name)
        placed = lifecycle.placed(lifecycle.version_of(key, name, number), place)
        self._put(key, placed)
        return placed

    def move(self, move: Move, *, actor: str) -> KeyVersion:
        key = self._key(move.key)
        changed = lifecycle.moved(key, move)
        self._put(key, *changed)
        if move.to is KeyState.COMPROMISED:
            self.findings.open(NewFinding(KEY_COMPROMISED, Severity.CRITICAL, move.subject))
        return changed[0]

    def _key(self, name: str) -> Key:
        if name not in self.keys:
            raise KeyNotFoundError(f"there is no key {name!r}")
        return self.keys[name]

    def _put(self, key: Key, *changed: KeyVersion) -> Key:
        made = self.keys[key.name] = lifecycle.with_versions(key, changed)
        return made

    def _refuse_taken(self, generated: GeneratedKey) -> None:
        if self.by_public_key(generated.public_key) is not None:
            raise PublicKeyTakenError


class MemoryFindings:
    def __init__(self) -> None:
        self.items: list[Finding] = []

    def open(self, found: NewFinding) -> bool:
        if any((f.code, f.subject) == (found.code, found.subject) for f in self._open()):
            return False
        number = len(self.items) + 1
        self.items.append(
            Finding(
                f"fnd_{number}",
                found.code,
                found.severity,
                found.subject,
                found.evidence,
                SystemClock().now(),
            )
        )
        return True

    def close(self, code: str, subject: str) -> bool:
        for index, known in enumerate(self.items):
            if known in self._open() and (known.code, known.subject) == (code, subject):
                self.items[index] = replace(known, closed_at=SystemClock().now())
                return True
        return False

    def list(self, wanted: FindingFilter, page: PageRequest) -> Page[Finding]:
        chosen = [
            found
            for found in reversed(self.items)
            if wanted.code in {None, found.code}
            and wanted.severity in {None, found.severity}
            and wanted.is_open in {None, found.closed_at is None}
        ]
        return paged(chosen, page)

    def _open(self) -> list[Finding]:
        return [found for found in self.items if found.closed_at is None]


class MemoryLists:
    def __init__(self) -> None:
        self.issued: list[WithdrawalList] = []

    def latest(self) -> WithdrawalList | None:
        return self.issued[-1] if self.issued else None

    def add(self, issued: WithdrawalList) -> bool:
        if issued.sequence != len(self.issued) + 1:
            return False
        self.issued.append(issued)
        return True


class NoLog:
    """A service without a log: nothing is proven, and nothing keeps it from signing."""

    def newest(self, log: LogName) -> SignedHead | None:
        return None

    def trees(self, log: LogName) -> Sequence[Tree]:
        return ()

    def search(self, wanted: AuditFilter, page: PageRequest) -> Page[LoggedEvent]:
        return Page(())

    def prove(self, ids: Sequence[str]) -> Mapping[str, object]:
        return {}

    def check(self) -> None:
        return None

    def v1(self, body: object) -> object:
        raise ForbiddenError("the trust policy names no such key")

    v2 = v1


class SoftwareMaker:
    """Makes elliptic keys in memory, and signs with them.

    `lying` are keys that others have put on its tokens, by URI; they fit whatever public key
    is given, as only a token could tell.
    """

    def __init__(self) -> None:
        self.lying: dict[str, GeneratedKey] = {}
        self.destroyed: list[str] = []
        self.private: dict[bytes, Any] = {}

    def generate(self, name: str, algorithm: Algorithm, token: str | None) -> GeneratedKey:
        if token not in {None, "test"}:
            raise TokenNotFoundError(f"no token {token!r} is configured")
        match algorithm:
            case Algorithm.EC_P256:
                private: Any = ec.generate_private_key(ec.SECP256R1())
            case Algorithm.EC_P384:
                private = ec.generate_private_key(ec.SECP384R1())
            case Algorithm.ED25519:
                private = ed25519.Ed25519PrivateKey.generate()
            case _:
                raise UnsupportedAlgorithmError(f"the token cannot make {algorithm}")
        public = spki(private.public_key())
        self.private[public] = private
        return GeneratedKey(
            name.encode(), public, Location("test", "0001"), Attributes(sensitive=True)
        )

    def adopt(self, uri: str, public_key: bytes | None, *, allow_extractable: bool) -> GeneratedKey:
        found = self.lying.get(uri)
        if found is None or found.public_key != public_key:
            raise KeyNotAdoptableError(f"no private key is {uri}")
        if found.attributes.extractable is not False and not allow_extractable:
            raise KeyUnprotectedError
        return found

    def attributes(self, version: KeyVersion) -> Attributes:
        return version.attributes

    def sign(
        self, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> Sequence[bytes | ServiceError]:
        private = self.private[version.public_key]
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return [private.sign(item.message) for item in items]
        hashed = hashes.SHA384() if scheme.value.endswith("sha384") else hashes.SHA256()
        return [private.sign(item.message, ec.ECDSA(hashed)) for item in items]

    def destroy(self, version: KeyVersion) -> None:
        self.destroyed.append(version.subject)


def spki(public: Any) -> bytes:
    return cast(
        "bytes",
        public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


class MemorySwitches:
    def __init__(self) -> None:
        self.known: dict[str, Switch] = {}

    def get(self, name: str) -> Switch:
        return self.known.get(name, Switch())

    def turn(self, name: str, *, on: bool, reason: str | None, actor: str) -> Switch:
        if self.get(name).is_on is not on:
            self.known[name] = Switch(on, reason, actor, SystemClock().now())
        return self.get(name)


class MemoryLeases:
    def acquire(self, name: str, *, owner: str, seconds: float) -> Lease | None:
        return Lease(name, owner, 1)

    def renew(self, lease: Lease, *, seconds: float) -> None:
        return None

    def release(self, lease: Lease) -> None:
        return None


class AnyRegistry:
    """Every host is a registry of ours, under its own name; nothing is there."""

    def public_repository(self, repository: Repository) -> Repository:
        return repository

    def public_names(self) -> Sequence[str]:
        return ["registry.example.test"]

    def resolve(self, repository: Repository, reference: str | Digest) -> None:
        return None

    def manifest(self, repository: Repository, reference: str | Digest) -> None:
        return None

    def blob(self, repository: Repository, digest: Digest) -> None:
        return None


class MemoryCertifications:
    """Holds a certification for every version: by a key that is nobody's, in the right form."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self._signature = key.sign(b"", ec.ECDSA(hashes.SHA256()))

    def get(self, version: KeyVersion) -> bytes:
        return self._signature

    def keep(self, version: KeyVersion, signature: bytes) -> bytes:
        return self._signature


class MemoryAudit:
    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def append(self, events: Sequence[AuditEvent]) -> None:
        self.events.extend(events)

    def about(self, subjects: Sequence[str], *, limit: int) -> Sequence[RecordedEvent]:
        now = SystemClock().now()
        return [
            RecordedEvent(number, None, now, stamped(frame(event), rfc3339(now)))
            for number, event in enumerate(self.events, 1)
            if event.subject in subjects
        ][-limit:]


class MemoryTokens:
    """One ready token, one slot without any; `fault` is what the next check meets."""

    def __init__(self) -> None:
        self.fault: ServiceError | None = None

    def status(self) -> Sequence[TokenStatus]:
        module = "/usr/lib/softhsm/libsofthsm2.so"
        empty = TokenStatus(None, module, "", False, (), None, "uninitialized")
        return [empty, TokenStatus("test", module, "0001", True, ("RNG",), None, "ready")]

    def health(self) -> Sequence[TokenHealth]:
        if self.fault is not None:
            return [TokenHealth("test", "unavailable", self.fault)]
        return [TokenHealth("test", "ready")]

    def _check(self) -> None:
        if self.fault is not None:
            raise self.fault

    def locate(self, versions: Sequence[KeyVersion]) -> Sequence[tuple[Location, ...]]:
        return [version.locations for version in versions]

    def mechanisms(self, token: str) -> Sequence[TokenMechanism]:
        self.label_of(token)
        self._check()
        return [TokenMechanism("ECDSA", 112, 521, ("sign", "verify"))]

    def label_of(self, token: str) -> str:
        if token != "test":
            raise TokenNotFoundError(f"no token {token!r} is configured")
        return token

    def login_once(self, token: str) -> TokenStatus:
        self.label_of(token)
        self._check()
        return self.status()[1]


class MemoryLatch:
    def is_latched(self, token: str, fingerprint: str) -> bool:
        return False

    def latch(self, token: str, fingerprint: str) -> None:
        return None

    def clear(self, token: str, *, actor: str) -> bool:
        return False


class MemoryHealth:
    def __init__(self) -> None:
        self.fault: ServiceError | None = None

    def check(self) -> None:
        if self.fault is not None:
            raise self.fault


class MemoryGauges:
    """An outbox of so many waiting orders, which can be asked or cannot."""

    def __init__(self) -> None:
        self.waiting = 0
        self.fault: ServiceError | None = None

    def readings(self) -> Sequence[Reading]:
        if self.fault is not None:
            raise self.fault
        return [Reading(OUTBOX_ORDERS, ("waiting",), self.waiting)]


@dataclass
class MemoryJournal:
    """The reading half of the journal and of the outbox, over one list of signatures."""

    signatures: list[Signature] = field(default_factory=list)
    intents: list[UnknownOutcome] = field(default_factory=list)

    def get(self, signature_id: str) -> Signature | None:
        return next((s for s in self.signatures if s.id == signature_id), None)

    def attachment_states(self, signature_ids: Sequence[str]) -> Mapping[str, Signature]:
        return {s.id: s for s in self.signatures if s.id in set(signature_ids)}

    def at_lookaside(self, repository: Repository, digest: Digest) -> Sequence[Signature]:
        return [
            s
            for s in self.signatures
            if (s.statement.format, s.statement.repository, s.statement.digest)
            == ("openpgp", repository, digest)
        ]

    def list(self, wanted: SignatureFilter, page: PageRequest) -> Page[Signature]:
        chosen = [s for s in reversed(self.signatures) if fits(wanted, s.statement, s.created_at)]
        return paged(chosen, page)

    def unknown_outcomes(self, wanted: SignatureFilter, page: PageRequest) -> Page[UnknownOutcome]:
        return paged([i for i in self.intents if fits(wanted, i.statement, i.created_at)], page)

    def list_orders(self, state: OrderState | None, page: PageRequest) -> Page[OrderStatus]:
        orders = [order_of(number, s) for number, s in enumerate(self.signatures, 1)]
        return paged([o for o in orders if state in {None, o.state}], page)

    def list_attachments(
        self, state: str | None, wanted: SignatureFilter, page: PageRequest
    ) -> Page[AttachmentStatus]:
        chosen = [
            attachment_of(s)
            for s in self.signatures
            if fits(wanted, s.statement, s.created_at) and state in {None, s.attachment.state}
        ]
        return paged(chosen, page)

    def get_attachment(self, attachment_id: str) -> AttachmentStatus | None:
        found = [s for s in self.signatures if attachment_of(s).id == attachment_id]
        return attachment_of(found[0]) if found else None

    def retry(self, attachment_id: str) -> None:
        for index, made in enumerate(self.signatures):
            if attachment_of(made).id == attachment_id:
                self.set_state(index, AttachmentState.PENDING)

    def retry_all_parked(self) -> int:
        parked = [
            index
            for index, made in enumerate(self.signatures)
            if made.attachment.state is AttachmentState.FAILED
        ]
        for index in parked:
            self.set_state(index, AttachmentState.PENDING)
        return len(parked)

    def set_state(self, index: int, state: AttachmentState) -> None:
        made = self.signatures[index]
        self.signatures[index] = replace(made, attachment=replace(made.attachment, state=state))


def fits(wanted: SignatureFilter, statement: Statement, created_at: datetime) -> bool:
    repository = str(statement.repository)
    return (
        wanted.repository in {None, repository}
        and wanted.digest in {None, statement.digest}
        and wanted.key in {None, statement.key}
        and (wanted.since is None or created_at >= wanted.since)
        and (wanted.repositories is None or any_matches(wanted.repositories, repository))
    )


def attachment_of(made: Signature) -> AttachmentStatus:
    parked = made.attachment.state is AttachmentState.FAILED
    return AttachmentStatus(
        id=f"att_{made.id}",
        signature_id=made.id,
        repository=made.statement.repository,
        digest=made.statement.digest,
        format=made.statement.format,
        state=made.attachment.state,
        attempts=3 if parked else 1,
        next_attempt_at=None if parked else made.created_at,
        error_code="registry-refused" if parked else None,
        error_detail="immutable tag" if parked else None,
        manifest_digest=made.attachment.digest,
        updated_at=made.created_at,
    )


def order_of(number: int, made: Signature) -> OrderStatus:
    parked = made.attachment.state is AttachmentState.FAILED
    return OrderStatus(
        id=number,
        kind=OrderKind.ATTACH,
        state=OrderState.PARKED if parked else OrderState.WAITING,
        repository=made.statement.repository,
        digest=made.statement.digest,
        attempts=3,
        due_at=made.created_at,
        error_code="registry-refused" if parked else None,
        error_detail=None,
        created_at=made.created_at,
    )


class SoftwareSigning:
    """Signs with a key in memory, records in `journal`, and fails as repositories say."""

    def __init__(self, journal: MemoryJournal, catalog: MemoryCatalog) -> None:
        self.journal = journal
        self.catalog = catalog
        self.calls = 0
        self.requests: list[SigningRequest] = []
        self.attachment_state = AttachmentState.ATTACHED
        self.fails_once: set[str] = set()
        """References that fail with a retryable error at the first try."""
        self.whole_failures: list[ServiceError] = []
        """What the next requests fail with as a whole, one after the other."""
        self._private = ec.generate_private_key(ec.SECP256R1())
        self._lock = threading.Lock()
        self._replays: dict[tuple[str, str], tuple[str, dict[int, SignedItem]]] = {}

    def __call__(
        self,
        caller: Caller,
        request: SigningRequest,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> tuple[SignedItem, ...]:
        with self._lock:
            self.calls += 1
            self.requests.append(request)
            if self.whole_failures:
                raise self.whole_failures.pop(0)
            if caller.role is not Role.BUILDER:
                raise ForbiddenError(f"the role {caller.role} may not sign images")
            unknown = [f for f in request.formats or () if f != "cosign"]
            if unknown:
                raise UnsupportedFormatError(f"unknown formats: {unknown}")
            if request.key is not None and self.catalog.get(request.key) is None:
                raise KeyNotFoundError(f"there is no key {request.key!r}")
            earlier = self._earlier(caller, idempotency_key, body_hash)
            items = tuple(
                earlier.get(n) or self._item(caller, request, n) for n in range(len(request.images))
            )
            if idempotency_key is not None:
                kept = {
                    n: item
                    for n, item in enumerate(items)
                    if item.error is None or not item.error.retryable
                }
                self._replays[caller.credential_id, idempotency_key] = (body_hash, kept)
            return items

    def _earlier(self, caller: Caller, key: str | None, body_hash: str) -> Mapping[int, SignedItem]:
        if key is None:
            return {}
        if key == "still-running":
            raise RequestInProgressError(retry_after=2.2)
        kept_hash, kept = self._replays.get((caller.credential_id, key), (body_hash, {}))
        if kept_hash != body_hash:
            raise IdempotencyKeyReusedError
        return kept

    def _item(self, caller: Caller, request: SigningRequest, number: int) -> SignedItem:
        image = request.images[number]
        shown = image.unverified_reference
        try:
            reference = Reference.parse(shown)
            if shown in self.fails_once:
                self.fails_once.remove(shown)
                raise failure("registry-unavailable")
            fail_as_named(reference.repository)
            if reference.digest is None:
                if reference.tag is None:
                    raise InvalidReferenceError("neither tag nor digest")
                raise ImageNotFoundError(f"the registry has no {shown}")
        except ServiceError as error:
            return SignedItem(shown, image.item_id, error=error)
        made = self._sign(caller, request, reference.repository, reference.digest)
        return SignedItem(shown, image.item_id, reference.digest, (made,))

    def _sign(
        self, caller: Caller, request: SigningRequest, repository: Repository, digest: Digest
    ) -> Signature:
        payload = f'{{"critical":{{"image":"{digest}"}}}}'.encode()
        state = self.attachment_state if request.attach else AttachmentState.NONE
        made = Signature(
            id=new_id("sig"),
            statement=Statement(
                format="cosign",
                key=request.key or "release",
                version=1,
                repository=repository,
                digest=digest,
                identity=str(repository),
                annotations=tuple(sorted(request.annotations.items())),
            ),
            scheme=Scheme.ECDSA_P256_SHA256,
            payload=payload,
            signature=self._private.sign(payload, ec.ECDSA(hashes.SHA256())),
            log_entry=b"{}",
            created_at=SystemClock().now(),
            credential_id=caller.credential_id,
            public_key=spki(self._private.public_key()),
            attachment=Attachment(
                state, Digest.of(payload) if state == "attached" else None, MANIFEST
            ),
        )
        self.journal.signatures.append(made)
        return made

    def artifact(self, item: SignedItem, signature: Signature) -> Artifact:
        tag = f"sha256-{signature.statement.digest.hex}.sig"
        return Artifact(tag, None, MANIFEST, b'{"layers":[]}', (signature.payload, b"{}"))


class SoftwarePayloads:
    """Signs payloads with a key in memory, if they can be read."""

    def __init__(self, catalog: MemoryCatalog) -> None:
        self.catalog = catalog
        self.requests: list[tuple[PayloadRequest, str | None, str]] = []
        self._private = ec.generate_private_key(ec.SECP256R1())

    def __call__(
        self,
        caller: Caller,
        request: PayloadRequest,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> SignedPayload:
        self.requests.append((request, idempotency_key, body_hash))
        if self.catalog.get(request.key) is None:
            raise KeyNotFoundError(f"there is no key {request.key!r}")
        if caller.role is not Role.BUILDER:
            raise ForbiddenError(f"the role {caller.role} does not sign")
        try:
            claim = payloads.read(request.encoding, request.unverified_payload)
        except payloads.PayloadMalformedError as error:
            raise PayloadNotSignableError(str(error)) from error
        form = payloads.PAYLOAD_FORMS[request.encoding]
        scheme = Scheme.ECDSA_P256_SHA256
        value = self._private.sign(request.unverified_payload, ec.ECDSA(hashes.SHA256()))
        made = Signature(
            id=new_id("sig"),
            statement=Statement(form.name, request.key, 1, NO_REPOSITORY, claim.digest, ""),
            scheme=scheme,
            payload=claim.content,
            signature=value,
            log_entry=b"{}",
            created_at=SystemClock().now(),
            credential_id=caller.credential_id,
            public_key=spki(self._private.public_key()),
        )
        return SignedPayload(request.encoding, made, form.value(value, scheme), (b"leaf", b"root"))


def failure(code: str) -> ServiceError:
    kind = by_code(code)
    if kind is None:
        raise LookupError(code)
    return kind(f"asked to fail with {code}")


def fail_as_named(repository: Repository) -> None:
    first, _, rest = repository.path.partition("/")
    if first == "fail":
        raise failure(rest)
    if first == "bug":
        raise ZeroDivisionError("s3cret: what nobody foresaw")


class NamedVerdicts:
    """Answers `verdict/<verdict>` with that verdict, everything else with `unsigned`.

    `verdict/index` is verified, and of its two manifests one is.
    """

    def __call__(
        self, caller: Caller, references: Sequence[str], *, recursive: bool
    ) -> Sequence[ImageVerdict]:
        return tuple(self._one(reference, recursive=recursive) for reference in references)

    def _one(self, shown: str, *, recursive: bool) -> ImageVerdict:
        try:
            reference = Reference.parse(shown)
        except InvalidReferenceError as error:
            reason = Reason(ReasonCode.INVALID_REFERENCE, str(error))
            return ImageVerdict(shown, None, Verdict.UNKNOWN, (reason,))
        name = reference.repository.path.removeprefix("verdict/")
        if name == "index":
            children = [
                replace(self._one(shown.replace("index", child), recursive=False), platform=on)
                for child, on in (("verified", "linux/amd64"), ("unsigned", "linux/arm64"))
            ]
            warning = Reason(ReasonCode.FOREIGN_BUNDLE, "beside ours", cure="sign again")
            whole = replace(
                self._one(shown.replace("index", "verified"), recursive=False),
                reference=shown,
                warnings=(warning,),
            )
            return with_children(whole, children) if recursive else whole
        make: Mapping[str, Callable[[], tuple[Verdict, Reason, tuple[SignatureVerdict, ...]]]] = {
            "verified": lambda: _verdict(Verdict.VERIFIED, ReasonCode.SIGNATURE_VALID),
            "rejected": lambda: _verdict(Verdict.REJECTED, ReasonCode.UNTRUSTED_KEY),
            "unknown": lambda: _verdict(Verdict.UNKNOWN, ReasonCode.PAYLOAD_UNAVAILABLE),
            "silent": lambda: (
                Verdict.UNKNOWN,
                Reason(ReasonCode.REGISTRY_UNAVAILABLE, "429", 7.0),
                (),
            ),
        }
        unsigned = (Verdict.UNSIGNED, Reason(ReasonCode.NO_SIGNATURE, "none"), ())
        verdict, reason, signatures = make[name]() if name in make else unsigned
        return ImageVerdict(shown, reference.digest, verdict, (reason,), signatures)


def _verdict(
    verdict: Verdict, code: ReasonCode
) -> tuple[Verdict, Reason, tuple[SignatureVerdict, ...]]:
    reason = Reason(code, f"because of {code}")
    stands = verdict is Verdict.VERIFIED
    one = SignatureVerdict("cosign", stands, reason, "release" if stands else None, 1)
    return verdict, reason, (one,)


@dataclass
class PolicyOnFile:
    """What a policy file says of quorums; a test writes another one by setting `quorum`."""

    quorum: QuorumRules = field(default_factory=QuorumRules)


@dataclass
class World:
    """The operations, the parts behind them, and a token for each role."""

    operations: Operations
    book: MemoryBook
    catalog: MemoryCatalog
    journal: MemoryJournal
    signing: SoftwareSigning
    jobs: MemoryJobs
    attesting: SoftwareAttesting
    tokens: MemoryTokens
    maker: SoftwareMaker
    audit: MemoryAudit
    health: MemoryHealth
    meter: MemoryMeter
    gauges: MemoryGauges
    approvals: MemoryApprovals
    policy: PolicyOnFile
    bearer: dict[Role, str]

    def authorization(self, role: Role) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.bearer[role]}"}


def new_world(*, release_key: bool = True, allow_extractable: bool = False) -> World:
    clock = SystemClock()
    book, catalog, journal = MemoryBook(), MemoryCatalog(), MemoryJournal()
    tokens, health, audit = MemoryTokens(), MemoryHealth(), MemoryAudit()
    meter, gauges = MemoryMeter(), MemoryGauges()
    signing, jobs = SoftwareSigning(journal, catalog), MemoryJobs()
    attesting = SoftwareAttesting(signing, journal)
    maker, leases = SoftwareMaker(), MemoryLeases()
    move = MoveVersion(catalog, leases)
    policy, rules, approvals = PolicyOnFile(), MemoryQuorum(), MemoryApprovals(book)
    quorum = Quorum(rules, book, lambda: policy.quorum, clock)
    certifying = Certifying(catalog, maker, leases, audit, clock)
    successors = certifying.successors
    acts = Acts(
        {
            ActKind.GENERATE: GenerateKey(catalog, maker, leases, audit, clock, successors),
            ActKind.ADOPT: AdoptKey(
                catalog, maker, leases, clock, successors, lambda: allow_extractable
            ),
            ActKind.CERTIFICATE_IMPORT: certifying.performer,
            ActKind.ACTIVATE: move,
            ActKind.UNSUSPEND: move,
            ActKind.RETIRE: move,
            ActKind.DESTROY: DestroyVersion(catalog, maker, leases, audit),
            ActKind.CREDENTIAL: CustodianCredentials(book, clock),
            ActKind.QUORUM: LoosenRules(rules),
        },
        quorum,
        approvals,
        clock,
    )
    records = Records(cast("Any", journal), cast("Any", journal), cast("Any", NoLog().prove))
    withdrawals = Withdrawals(catalog, MemoryLists(), cast("Any", NoLog()), maker, leases, clock)
    trusted_logs = TrustedLogs(cast("Any", NoLog()), catalog)
    openpgp_keys = OpenPGPKeys(MemoryCertifications(), cast("Any", None))
    operations = Operations(
        authenticator=TokenAuthenticator(book, clock),
        rates=RateLimits(MemoryBuckets(), RatePolicy, clock),
        sign=cast("Any", signing),
        signing_jobs=SigningJobs(jobs, catalog, cast("Any", journal), cast("Any", NoLog().prove)),
        sign_payload=cast("Any", SoftwarePayloads(catalog)),
        attest=cast("Any", attesting),
        verify=cast("Any", NamedVerdicts()),
        keys=Keys(catalog, tokens),
        custody=Custody(acts, catalog, audit, clock),
        reissues=ReissueJobs(jobs, catalog, audit),
        certificates=Certificates(acts, catalog, certifying.maker, audit),
        findings=SeeFindings(catalog.findings),
        credentials=Credentials(book, acts, clock),
        approvals=Approvals(approvals, acts, book, LeaseRenewer(clock), clock),
        quorum=QuorumPolicy(quorum, acts),
        minutes=TakeMinutes(catalog, approvals, audit, book, quorum, clock),
        withdrawals=withdrawals,
        records=records,
        log=ReadLog(cast("Any", NoLog()), cast("Any", NoLog())),
        audit_log=ReadAuditLog(ReadLog(cast("Any", NoLog()), cast("Any", NoLog()))),
        audit_search=SearchAudit(NoLog()),
        take_entries=cast("Any", NoLog()),
        trust_files=TrustFiles(catalog, AnyRegistry(), trusted_logs, withdrawals, openpgp_keys),
        slots=Slots(tokens, MemoryLatch(), audit),
        timestamps=Timestamps(catalog, cast("Any", None), audit, clock),
        lookaside=Lookaside(cast("Any", journal), catalog, AnyRegistry()),
        openpgp_keys=openpgp_keys,
        readiness=Readiness(tokens, health, cast("Any", NoLog())),
        maintenance=Maintenance(MemorySwitches(), clock),
        metrics=Metrics(meter, meter, [gauges]),
    )
    bearer: dict[Role, str] = {}
    for role in Role:
        bearer[role], token_hash = new_token()
        caller = Caller(f"cred_{role}", role.value, f"{role}@example.com", role, ("**",), ("*",))
        credential = Credential(caller, token_hash, clock.now() - timedelta(days=1))
        book.create(credential, actor="test", only_if_no_admin=False)
    world = World(
        operations,
        book,
        catalog,
        journal,
        signing,
        jobs,
        attesting,
        tokens,
        maker,
        audit,
        health,
        meter,
        gauges,
        approvals,
        policy,
        bearer,
    )
    if release_key:
        custodian = book.credentials["custodian"].caller
        operations.custody.generate(
            custodian, Generation("release", Purpose.IMAGE, Algorithm.EC_P256, None)
        )
    return world


def hire(world: World, name: str, person: str, *, ssh_public_key: str | None = None) -> str:
    """Put another custodian on record, past every quorum, and return the token."""
    token, token_hash = new_token()
    caller = Caller(f"cred_{name}", name, person, Role.CUSTODIAN)
    made_at = SystemClock().now() - timedelta(days=1)
    credential = Credential(caller, token_hash, made_at, ssh_public_key=ssh_public_key)
    world.book.create(credential, actor="test", only_if_no_admin=False)
    return token


def unknown_outcome(repository: str, digest: Digest) -> UnknownOutcome:
    statement = Statement("cosign", "release", 1, Repository.parse(repository), digest, repository)
    return UnknownOutcome("int_1", statement, "cred_builder", SystemClock().now())


def signed(world: World, repository: str, digest: Digest) -> Signature:
    """Put a signature on record and return it."""
    caller = world.book.credentials["builder"].caller
    request = SigningRequest(images=())
    return world.signing._sign(caller, request, Repository.parse(repository), digest)
