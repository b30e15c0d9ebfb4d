"""The values of the signing cycle (docs/signing-cycle.md): requests, statements, records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Final

from service.domain.digests import Descriptor, Digest
from service.domain.errors import ServiceError
from service.domain.keys import Scheme
from service.domain.log import LogProof
from service.domain.outbox import OrderKind
from service.domain.references import Repository

RESERVED_ANNOTATION_PREFIX: Final = "dev.sealwright."


@dataclass(frozen=True, slots=True)
class ImageToSign:
    """One item of a request, as the caller wrote it: `reference` is not parsed yet.

    An item that turns out to be wrong fails alone, so parsing belongs to the item.
    """

    unverified_reference: str
    item_id: str | None = None
    identity: str | None = None
    unverified_descriptor: tuple[str, int] | None = None
    """Media type and size, where the caller gives them."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    images: tuple[ImageToSign, ...]
    key: str | None = None
    formats: tuple[str, ...] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    recursive: bool = False
    attach: bool = True
    force: bool = False
    promises: bool = False
    """Whether what the caller attaches carries the log's promises, as what we attach does."""

    @property
    def size(self) -> int:
        return len(self.images)


@dataclass(frozen=True, slots=True)
class Statement:
    """What a signature says, and by which key version: one signature stands for each.

    `identity` is the name that the signature claims; `annotations` are sorted pairs;
    `descriptor` is there where the format signs media type and size.
    """

    format: str
    key: str
    version: int
    repository: Repository
    digest: Digest
    identity: str
    annotations: tuple[tuple[str, str], ...] = ()
    descriptor: Descriptor | None = None

    def hash(self) -> str:
        """Hex SHA-256 over an unambiguous encoding: each part prefixed by its length.

        The repository is part of it, whatever the identity claims: a signature is attached
        at one repository, so that one made for another would not do.
        """
        parts = [
            self.format,
            self.key,
            str(self.version),
            str(self.repository),
            self.digest.hex,
            self.identity,
        ]
        if self.descriptor is not None:
            parts += (self.descriptor.media_type, str(self.descriptor.size))
        parts.append(str(len(self.annotations)))
        for name, value in self.annotations:
            parts += (name, value)
        text = "".join(f"{len(part)}:{part}" for part in parts)
        return sha256(text.encode()).hexdigest()


class AttachmentState(StrEnum):
    ATTACHED = "attached"
    PENDING = "pending"
    FAILED = "failed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Attachment:
    """Whether a signature lies at its registry. `digest` is that of the manifest holding it."""

    state: AttachmentState
    digest: Digest | None = None
    media_type: str | None = None


NOT_ATTACHED: Final = Attachment(AttachmentState.NONE)


OWN_AUTHORITY: Final = "own"
"""How settings and answers name our own time-stamping authority."""


@dataclass(frozen=True, slots=True)
class Timestamp:
    """An authority's word (RFC 3161) that a signature existed at a time.

    `reply` is the DER TimeStampResp over the signature as its format holds it; `authority` is
    the name by which the settings know who made it.
    """

    authority: str
    at: datetime
    reply: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature on record.

    `payload` holds the exact bytes signed (for cosign the simple-signing JSON), or for a
    bundle the statement from which they follow; `signature` the encoded signature (DER for
    ECDSA), `log_entry` the exact bytes of its leaf-to-be in the log.
    """

    id: str
    statement: Statement
    scheme: Scheme
    payload: bytes
    signature: bytes
    log_entry: bytes
    created_at: datetime
    credential_id: str
    public_key: bytes
    chain: tuple[bytes, ...] = ()
    """The certificates that go with it, as DER, leaf first, where its format holds any: those
    that its key version had when it was made."""
    attachment: Attachment = NOT_ATTACHED
    log: LogProof | None = None
    """Put in by step 10; None until then, and where there is no log."""
    second_log: LogProof | None = None
    """The proof of a second entry, which an Ed25519 `.sig` needs to be taken by every client."""
    timestamp: Timestamp | None = None
    """Put in by step 10 where one is asked for, and kept: a signature has one for good."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be signed (step 6), held by a lease until its outcome (step 9)."""

    id: str
    request_id: str
    """Groups the intents of one request; stable across replays of one Idempotency-Key."""
    item: int
    """Which item of the request, so that a replay finds the outcome of exactly that item."""
    statement: Statement
    statement_hash: str
    scheme: Scheme
    payload: bytes
    public_key: bytes
    credential_id: str
    attach: OrderKind | None = None
    """What kind of order is to bring it to its registry; None: the caller does that."""
    subject: Descriptor | None = None
    """The image as the registry describes it; there wherever `attach` is."""
    replaces: str | None = None
    """The intent that an earlier, dead attempt left without an outcome."""


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """An intent whose lease ran out without an outcome: a fact for the operator."""

    intent_id: str
    statement: Statement
    credential_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What step 9 commits for one intent.

    `force` lets the new signature take the place of the one that stands.
    """

    intent: Intent
    signature_id: str
    signature: bytes
    log_entry: bytes
    force: bool = False
    chain: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedItem:
    """One item of the answer, in the caller's order. Exactly one of signatures and error."""

    reference: str
    item_id: str | None
    digest: Digest | None = None
    signatures: tuple[Signature, ...] = ()
    children: tuple[SignedItem, ...] = ()
    error: ServiceError | None = None
    descriptor: Descriptor | None = None
    """As far as the registry or the caller has told: what an artifact names as its subject."""
    platform: str | None = None
    """Of a child: as its index says."""

    def errors(self) -> Iterator[ServiceError]:
        """Yield what went wrong with the item and with everything in it."""
        if self.error is not None:
            yield self.error
        for child in self.children:
            yield from child.errors()

    def every_signature(self) -> Iterator[Signature]:
        """Yield the signatures of the item and of everything in it."""
        yield from self.signatures
        for child in self.children:
            yield from child.every_signature()


@dataclass(frozen=True, slots=True)
class SignatureLayer:
    """One signature as a layer of cosign's `.sig` manifest: a blob and its annotations."""

    media_type: str
    content: bytes
    annotations: tuple[tuple[str, str], ...]
    twin: tuple[tuple[str, str], ...] = ()
    """The annotations under which the same blob is listed a second time, if it must be."""

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


@dataclass(frozen=True, slots=True)
class Referrer:
    """A manifest that refers to an image (OCI 1.1), with its blobs.

    `artifact_type` and `annotations` are the manifest's own: whoever lists it copies them.
    """

    media_type: str
    manifest: bytes
    blobs: tuple[bytes, ...]
    artifact_type: str
    annotations: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest)


@dataclass(frozen=True, slots=True)
class LookasideFile:
    """A signature that clients fetch from our own lookaside, next to the registry."""

    content: bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)


Attachable = SignatureLayer | Referrer | LookasideFile
"""What a format puts at the registry: one member for each kind of place."""


@dataclass(frozen=True, slots=True)
class AttachmentWish:
    """That a signature on record lie at its registry, and what an order for it must know."""

    signature_id: str
    kind: OrderKind
    subject: Descriptor


@dataclass(frozen=True, slots=True)
class Artifact:
    """A ready-made attachment for callers who push themselves (`attach: false`)."""

    tag: str | None
    subject: Descriptor | None
    media_type: str
    manifest: bytes | None
    """None for a file that no registry takes: its bytes are the only blob."""
    blobs: tuple[bytes, ...]
