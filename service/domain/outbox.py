"""Orders of the outbox: what must still happen outside the store, one row a subject and kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.domain.digests import Descriptor, Digest
from service.domain.references import Repository


class OrderKind(StrEnum):
    """Which list of a subject an order looks after: each is written by itself."""

    ATTACH = "attach"
    """Cosign's list of signatures under the `.sig` tag."""
    REFER = "refer"
    """The list of manifests that refer to the subject."""
    LOOKASIDE = "lookaside"
    """What we serve ourselves, beside the registry: ours alone, so that nobody overwrites it."""


class OrderState(StrEnum):
    WAITING = "waiting"
    PARKED = "parked"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Order:
    """One claimed order. Whoever holds its lease is the only writer of (repository, digest, kind).

    `fencing` grows with each claim; `generation` with each new thing to do, so that an
    order finished at an older generation stays waiting. `looks` counts how often an
    attachment that was in place has been looked at again without a change.
    """

    id: int
    kind: OrderKind
    repository: Repository
    digest: Digest
    owner: str
    fencing: int
    generation: int
    attempts: int
    looks: int
    seen: str | None = None
    """How the list was left or last seen, to tell whether it has changed."""
    subject: Descriptor | None = None
    """What was ordered, as the registry described it; None in orders of an older version."""


@dataclass(frozen=True, slots=True)
class OrderStatus:
    """An order as `sealwright outbox list` shows it."""

    id: int
    kind: OrderKind
    state: OrderState
    repository: Repository
    digest: Digest
    attempts: int
    due_at: datetime
    error_code: str | None
    error_detail: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AttachmentStatus:
    """One signature's attachment, as `GET /v1/attachments` lists it."""

    id: str
    signature_id: str
    repository: Repository
    digest: Digest
    format: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    error_code: str | None
    error_detail: str | None
    manifest_digest: Digest | None
    updated_at: datetime
