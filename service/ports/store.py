"""Obligations of the store.

Times used for leases are the database's own, so that the clocks of several machines do not
matter. Every method that changes something is one transaction, durable when it returns.
Each method may raise StoreUnavailableError; nothing has then been changed, except that the
connection may have died at the commit itself: callers repeat with the same identifiers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.domain.audit import AuditEvent
from service.domain.callers import Credential
from service.domain.digests import Digest
from service.domain.errors import ServiceError
from service.domain.findings import Finding, NewFinding, Severity
from service.domain.keys import GeneratedKey, Key, KeyState, KeyVersion, Location, Purpose
from service.domain.lifecycle import Move, NewVersion
from service.domain.outbox import AttachmentStatus, Order, OrderState, OrderStatus
from service.domain.pages import Page, PageRequest
from service.domain.references import Repository
from service.domain.signing import (
    AttachmentWish,
    Intent,
    Outcome,
    Signature,
    Timestamp,
    UnknownOutcome,
)
from service.domain.withdrawals import WithdrawalList


@dataclass(frozen=True, slots=True)
class SignatureFilter:
    """None means any. `repositories`, where given, are patterns the result must match."""

    repository: str | None = None
    digest: Digest | None = None
    key: str | None = None
    since: datetime | None = None
    credential_id: str | None = None
    repositories: tuple[str, ...] | None = None


class SigningJournal(Protocol):
    """Intents and outcomes: steps 6 and 9 of the cycle."""

    def standing(self, statement_hashes: Sequence[str]) -> Mapping[str, Signature]:
        """Return the signatures that stand, by statement hash."""
        ...

    def made_for_request(
        self, request_id: str, *, items: range
    ) -> Mapping[tuple[int, str], Signature]:
        """Return what intents for these items have led to, by (item, statement hash)."""
        ...

    def intend(self, intents: Sequence[Intent], *, owner: str, seconds: float) -> None:
        """Step 6: commit the intents, held by a lease of `owner` for `seconds`.

        An older intent for the same statement whose lease has run out without an outcome
        is marked superseded, and the new one records its id.
        """
        ...

    def renew(self, request_id: str, *, owner: str, seconds: float) -> None:
        """Extend the lease on the open intents of a request that `owner` holds."""
        ...

    def complete(
        self, outcomes: Sequence[Outcome], *, owner: str, order_lease_seconds: float
    ) -> Sequence[Completed]:
        """Step 9, in one transaction: signatures, log entries, audit events, orders.

        In the order of `outcomes`, each answered by itself. Must refuse (`LeaseLostError`)
        an intent that `owner` no longer holds, or whose key version is not active now.
        Where another signature for the statement stands by then and `force` is not set,
        that one is answered and this one is discarded, its intent marked so.
        For an intent with `attach`, the attachment and its order are written too, and the
        order's lease is given to `owner` if nobody else holds it.
        """
        ...

    def abandon(self, intent_ids: Sequence[str], *, owner: str, reason: str) -> None:
        """Close intents for which nothing was signed, with the error code as the reason."""
        ...

    def get(self, signature_id: str) -> Signature | None: ...

    def at_lookaside(self, repository: Repository, digest: Digest) -> Sequence[Signature]:
        """Return the standing signatures of an image that the lookaside serves, oldest first."""
        ...

    def repositories(self) -> Sequence[Repository]:
        """Return every repository that a signature on record is for. Takes as long as the record."""
        ...

    def of_version(self, key: str, version: int, digest: Digest) -> Sequence[Signature]:
        """Return everything on record by this version for this image, standing or not."""
        ...

    def list(self, wanted: SignatureFilter, page: PageRequest) -> Page[Signature]: ...

    def unknown_outcomes(
        self, wanted: SignatureFilter, page: PageRequest
    ) -> Page[UnknownOutcome]: ...


@dataclass(frozen=True, slots=True)
class SignedImage:
    """An image with signatures on record; `number` orders by when it was first signed."""

    number: int
    repository: Repository
    digest: Digest


class SignedImages(Protocol):
    """The record by image: what stands for each, and by which version."""

    def count(self, key: str, *, but: int) -> int:
        """Return how many images have standing signatures by a version other than `but`."""
        ...

    def page(self, key: str, *, but: int, after: int, limit: int) -> Sequence[SignedImage]:
        """Return such images with a higher number than `after`, each once, by their number."""
        ...

    def repositories(self, key: str, *, but: int, after: str) -> Sequence[Repository]:
        """Return the repositories of such images that sort behind `after`, in their order."""
        ...

    def standing(
        self, key: str, repository: Repository, digest: Digest, *, but: int
    ) -> Sequence[Signature]:
        """Return the standing signatures of an image by versions other than `but`."""
        ...


@dataclass(frozen=True, slots=True)
class Completed:
    """Exactly one of `signature` and `error`; `order` where its lease came with it."""

    signature: Signature | None = None
    error: ServiceError | None = None
    order: Order | None = None


class Outbox(Protocol):
    """Durable orders; whoever holds an order's lease is the only writer of its list."""

    def order_attachments(
        self, wishes: Sequence[AttachmentWish], *, owner: str, seconds: float
    ) -> Sequence[Order]:
        """Ask for (or again for) the attachment of standing signatures.

        Creates what is missing, sets the attachments `pending`, and returns the orders
        whose lease `owner` got.
        """
        ...

    def claim(self, *, owner: str, seconds: float, limit: int) -> Sequence[Order]:
        """Lease up to `limit` orders that are waiting, due, and held by nobody."""
        ...

    def to_attach(self, order: Order) -> Sequence[Signature]:
        """Return every signature that belongs into the list that the order looks after."""
        ...

    def attached(
        self,
        order: Order,
        holders: Mapping[str, Digest],
        *,
        media_type: str,
        seen: str,
        look_again_seconds: float | None,
        looks: int,
    ) -> bool:
        """Record in which manifest each of the signatures lies, and how the list was left.

        The order is put back for another look after `look_again_seconds`, or is done when
        that is None. Returns False, and leaves the order waiting and due at once, if it
        grew a new generation in the meantime; raises LeaseLostError if the fence moved.
        """
        ...

    def failed(
        self,
        order: Order,
        *,
        error_code: str,
        error_detail: str,
        retry_seconds: float | None,
    ) -> None:
        """Record a failed delivery: to be tried again after `retry_seconds`, or parked (None).

        Parking sets the attachments `failed` and opens a finding, which is closed when the order
        is delivered after all. Raises LeaseLostError if the fence moved.
        """
        ...

    def postpone(self, order: Order, *, seconds: float) -> None:
        """Let go of an order that nobody has tried. Raises LeaseLostError."""
        ...

    def attachment_states(self, signature_ids: Sequence[str]) -> Mapping[str, Signature]:
        """Return the signatures with their attachments as they are now."""
        ...

    def list_orders(self, state: OrderState | None, page: PageRequest) -> Page[OrderStatus]: ...

    def list_attachments(
        self, state: str | None, wanted: SignatureFilter, page: PageRequest
    ) -> Page[AttachmentStatus]: ...

    def get_attachment(self, attachment_id: str) -> AttachmentStatus | None: ...

    def retry(self, attachment_id: str) -> None:
        """Make a parked or waiting order due at once, its attempts counted anew."""
        ...

    def retry_all_parked(self) -> int: ...


class KeyCatalog(Protocol):
    """Keys and versions with their pinned public keys."""

    def get(self, name: str) -> Key | None: ...

    def list(self, purpose: Purpose | None, page: PageRequest) -> Page[Key]:
        """None means every purpose but `ca`: that key signs nothing that anybody asks for."""
        ...

    def trusted_by_purpose(self, purpose: Purpose) -> Sequence[KeyVersion]:
        """Return every version of this purpose, whatever its state, for verification."""
        ...

    def compromised(self) -> Sequence[KeyVersion]:
        """Return every version that was ever compromised, destroyed ones included."""
        ...

    def by_public_key(self, public_key: bytes) -> KeyVersion | None:
        """Return the version with this public key (DER SubjectPublicKeyInfo)."""
        ...

    def create(
        self,
        key: Key,
        generated: GeneratedKey,
        *,
        actor: str,
        state: KeyState = KeyState.ACTIVE,
        adopted: bool = False,
    ) -> Key:
        """Record a new key with its first version, and the audit event.

        Raises:
            KeyExistsError: the name is taken.
            PublicKeyTakenError: the public key, or the place on the token, is.
        """
        ...

    def add_version(
        self,
        new: NewVersion,
        generated: GeneratedKey,
        *,
        created_at: datetime,
        actor: str,
        adopted: bool = False,
    ) -> KeyVersion:
        """Record a further version; what it takes the place of is retired with it.

        Raises:
            KeyNotFoundError; PublicKeyTakenError: as above.
        """
        ...

    def add_location(self, name: str, number: int, place: Location, *, actor: str) -> KeyVersion:
        """Record one more token that holds the version; does nothing if it is known there.

        Raises:
            KeyNotFoundError; PublicKeyTakenError: another version lies there.
        """
        ...

    def move(self, move: Move, *, actor: str) -> KeyVersion:
        """Move a version by the table of states, judged by what it is when it is locked.

        Once this returns, no signature by a version that is not active any more can be
        recorded. A compromise opens its finding in the same transaction.

        Raises:
            KeyNotFoundError, KeyMoveForbiddenError, InvalidRequestError.
        """
        ...


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """None means any."""

    is_open: bool | None = None
    code: str | None = None
    severity: Severity | None = None


class Findings(Protocol):
    """What somebody must look at. Stores open and close some within their own transactions."""

    def open(self, found: NewFinding) -> bool:
        """Open it, unless one of the same code and subject is open: then return False."""
        ...

    def close(self, code: str, subject: str) -> bool:
        """Close the open one; return False if there is none."""
        ...

    def list(self, wanted: FindingFilter, page: PageRequest) -> Page[Finding]:
        """Newest first."""
        ...


class KeyCertifications(Protocol):
    """The signatures by which key versions certify their own OpenPGP form."""

    def get(self, version: KeyVersion) -> bytes | None: ...

    def keep(self, version: KeyVersion, signature: bytes) -> bytes:
        """Keep the first signature for a version, audited, and return the one that is kept."""
        ...


class TimestampBook(Protocol):
    """Time stamps over signatures on record; read with the signatures themselves."""

    def keep(self, made: Mapping[str, Timestamp]) -> Mapping[str, Timestamp]:
        """Keep stamps by the id of their signature, audited, and return those that are kept.

        The first one of a signature stays for good.
        """
        ...


class WithdrawalLists(Protocol):
    """Signed lists of what is withdrawn, numbered from 1 without gaps."""

    def latest(self) -> WithdrawalList | None: ...

    def add(self, issued: WithdrawalList) -> bool:
        """Keep a list and its audit event; False if somebody else has used its number.

        Raises:
            LeaseLostError: the version that signed it is not active now.
        """
        ...


class CredentialBook(Protocol):
    def by_token_hash(self, token_hash: str) -> Credential | None: ...

    def create(self, credential: Credential, *, actor: str, only_if_no_admin: bool) -> None:
        """Raises CredentialExistsError; AdminExistsError where `only_if_no_admin` says so."""
        ...

    def get(self, name: str) -> Credential | None: ...

    def with_id(self, credential_id: str) -> Credential | None: ...

    def list(self, page: PageRequest) -> Page[Credential]: ...

    def custodians(self) -> Sequence[Credential]:
        """Return every custodian's credential there ever was, revoked and expired ones included."""
        ...

    def change(self, changed: Credential, *, actor: str) -> None:
        """Record a new person, expiry or SSH key of the credential with this id."""
        ...

    def revoke(self, name: str, *, actor: str) -> Credential | None:
        """Return the credential as revoked, or None if there is none of this name."""
        ...


class AuditTrail(Protocol):
    def append(self, events: Sequence[AuditEvent]) -> None: ...


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    owner: str
    fencing: int


class Leases(Protocol):
    """Named locks that survive the crash of their holder by running out."""

    def acquire(self, name: str, *, owner: str, seconds: float) -> Lease | None:
        """Return the lease, or None while somebody else holds it. `fencing` always grows."""
        ...

    def renew(self, lease: Lease, *, seconds: float) -> None:
        """Raises LeaseLostError."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it back; does nothing if it was lost."""
        ...


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A held Idempotency-Key. `results` are those of an earlier, finished run, or None."""

    id: str
    owner: str
    fencing: int
    results: bytes | None = None


class IdempotencyLedger(Protocol):
    """What an Idempotency-Key has led to; belongs to one credential and one body hash."""

    def begin(
        self, *, credential_id: str, key: str, body_hash: str, owner: str, seconds: float
    ) -> IdempotentRequest:
        """Take the key, or take it over from a holder whose lease has run out.

        The `id` stays the same however often the key is taken: it is the request id of the
        intents, so that a replay after a crash finds what the first run made.

        Raises:
            RequestInProgressError: somebody holds it (`retry_after` tells how long).
            IdempotencyKeyReusedError: it belongs to another body.
        """
        ...

    def renew(self, request: IdempotentRequest, *, seconds: float) -> None: ...

    def finish(self, request: IdempotentRequest, results: bytes) -> None:
        """Keep the results for 7 days and let go of the lease."""
        ...

    def release(self, request: IdempotentRequest) -> None:
        """Let go without results (the request ended in 429 or 5xx)."""
        ...


class PINLatch(Protocol):
    """Remembers, for all workers, that a token refused a PIN. Rows hold keyed fingerprints."""

    def is_latched(self, token: str, fingerprint: str) -> bool: ...

    def latch(self, token: str, fingerprint: str) -> None: ...

    def clear(self, token: str, *, actor: str) -> bool:
        """Forget; return whether anything was latched."""
        ...


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A module that is left alone. `held`: seconds for which no probe may lift that yet."""

    module: str
    held: float


class Quarantine(Protocol):
    """Modules of one installation in which a call did not come back, for all its processes.

    Putting and lifting are audited. A module that comes in again and again soon after it was
    let out is held for longer each time: its probes come back, and its work does not.
    """

    def put(self, module: str) -> None:
        """Does nothing if it is in already."""
        ...

    def standing(self) -> Sequence[Quarantined]: ...

    def lift(self, module: str) -> bool:
        """Let it out; return whether it was in."""
        ...


class StoreHealth(Protocol):
    def check(self) -> None:
        """Raises StoreUnavailableError unless the store answers and its schema is current."""
        ...
