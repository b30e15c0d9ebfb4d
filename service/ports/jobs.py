"""Obligations of what keeps long jobs (`service.domain.jobs`).

A job is run under a lease (owner, fencing number, database time) and by one process at a time;
whoever lost the lease can change nothing of it any more. Each method may raise
StoreUnavailableError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.domain.callers import Caller
from service.domain.errors import ServiceError
from service.domain.jobs import Job, NewJob, Progress


class JobBook(Protocol):
    def submit(self, new: NewJob, *, most_open: int) -> Job:
        """Record a job, audited; a repeated one (same credential and Idempotency-Key) is returned.

        Raises:
            IdempotencyKeyReusedError: the key belongs to a job with another body.
            TooManyJobsError: the credential has `most_open` that have not ended.
        """
        ...

    def get(self, job_id: str) -> Job | None:
        """Return a job that has not ended, or ended less than 7 days ago."""
        ...

    def claim(self, *, owner: str, seconds: float) -> Job | None:
        """Lease the job that has been due for longest and is held by nobody."""
        ...

    def renew(self, job: Job, *, seconds: float) -> None:
        """Raises LeaseLostError."""
        ...

    def advance(self, job: Job, progress: Progress, notes: bytes) -> None:
        """Record how far the job is, and what its next run must know. Raises LeaseLostError."""
        ...

    def put_back(self, job: Job, *, seconds: float, counts: bool) -> None:
        """Let go of it until it is due again; `counts` as an attempt. Raises LeaseLostError."""
        ...

    def finish(self, job: Job, progress: Progress, results: bytes) -> None:
        """Raises LeaseLostError."""
        ...

    def fail(self, job: Job, error: ServiceError) -> None:
        """Raises LeaseLostError."""
        ...


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is over, with these results."""

    progress: Progress
    results: bytes


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The run ended before the job did. `error`, if any, is why, and counts as an attempt."""

    error: ServiceError | None = None


class Run(Protocol):
    """What a runner is given beside its job."""

    @property
    def owner(self) -> str: ...

    def advance(self, progress: Progress, notes: bytes) -> None:
        """Record how far it is. Raises LeaseLostError: another run has the job now."""
        ...

    def must_stop(self) -> bool:
        """Whether this process is about to end: then the runner ends with its next piece."""
        ...

    def is_out_of_patience(self) -> bool:
        """Whether what fails in passing is to be taken as it is now."""
        ...


class JobRunner(Protocol):
    def __call__(self, job: Job, caller: Caller, run: Run) -> Finished | Interrupted:
        """Do the job, or what is left of it, on behalf of `caller`, who is authorised as now.

        Raises:
            ServiceError: the job as a whole cannot be done; tried again if it is retryable.
        """
        ...
