"""Long jobs: work that outlives its request, and the process that began it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.domain.errors import ServiceError


class JobKind(StrEnum):
    SIGN = "sign"
    """`POST /v1/signatures` with `Prefer: respond-async`."""
    REISSUE = "reissue"
    """Signing anew, under another version of a key, what stands."""


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """It came to its end; parts of it may have failed, each with its reason."""
    FAILED = "failed"
    """It could not be done as a whole; `error` says why."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`failed` are among the `done`."""

    total: int
    done: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class NewJob:
    """What somebody asks for. `request` is JSON that only the job's runner reads."""

    id: str
    kind: JobKind
    credential_id: str
    requester: str
    subject: str
    request: bytes
    body_hash: str
    total: int
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands, and the lease by which it is held, if it is.

    `notes` are what a run leaves to the next one; `results` what the job came to. `attempts`
    counts runs that ended in an orderly way without the job's end, `starts` those that were
    never heard of again.
    """

    id: str
    kind: JobKind
    state: JobState
    credential_id: str
    requester: str
    subject: str
    request: bytes
    body_hash: str
    idempotency_key: str | None
    progress: Progress
    created_at: datetime
    attempts: int = 0
    starts: int = 0
    owner: str | None = None
    fencing: int = 0
    notes: bytes | None = None
    results: bytes | None = None
    error: ServiceError | None = None
    ended_at: datetime | None = None
