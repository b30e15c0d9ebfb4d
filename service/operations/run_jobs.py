"""Runs long jobs: one at a time, under a lease, on behalf of whoever asked, as they are now.

A job whose run dies is taken over when its lease has run out, and goes on from its notes; its
runner sees to it that what was done is found, and not done again. A run that ends with a failure
that may pass puts the job back, later each time, until patience ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.errors import (
    ForbiddenError,
    InternalError,
    LeaseLostError,
    MaintenanceError,
    ServiceError,
)
from service.domain.findings import JOB_PARKED, NewFinding, Severity
from service.domain.jobs import Job, JobKind, Progress
from service.domain.limits import JOB_LEASE_SECONDS
from service.operations.backoff import backoff
from service.operations.renewal import LeaseRenewer
from service.ports.jobs import Finished, Interrupted, JobBook, JobRunner
from service.ports.store import CredentialBook, Findings

log = logging.getLogger(__name__)

PATIENCE: Final = timedelta(hours=1)  # a registry or an HSM that is away comes back, or is lost
RETRY_CAP_SECONDS: Final = 60.0  # what is back is noticed within a minute
MAX_STARTS: Final = 5  # runs that were never heard of again: the job itself kills its workers


@dataclass(frozen=True, slots=True)
class _Run:
    """service.ports.jobs.Run."""

    book: JobBook
    job: Job
    owner: str
    stopping: Callable[[], bool]
    impatient: bool

    def advance(self, progress: Progress, notes: bytes) -> None:
        self.book.advance(self.job, progress, notes)

    def must_stop(self) -> bool:
        return self.stopping()

    def is_out_of_patience(self) -> bool:
        return self.impatient


@dataclass(frozen=True, slots=True)
class RunJobs:
    book: JobBook
    credentials: CredentialBook
    findings: Findings
    runners: Mapping[JobKind, JobRunner]
    renewer: LeaseRenewer
    clock: Clock

    def run_once(self, *, owner: str, stopping: Callable[[], bool]) -> bool:
        """Claim a job and run it as far as it goes; False if none was due.

        Raises:
            StoreUnavailableError: none could be claimed.
        """
        job = self.book.claim(owner=owner, seconds=JOB_LEASE_SECONDS)
        if job is None:
            return False
        renew = partial(self.book.renew, job, seconds=JOB_LEASE_SECONDS)
        try:
            with self.renewer.holding(renew, every=JOB_LEASE_SECONDS / 3):
                self._run(job, stopping)
        except LeaseLostError:
            log.info("job lost to another worker", extra={"job": job.id})
        except ServiceError as error:
            # The store is away: the lease runs out and the job is claimed again.
            log.warning(
                "job left as it is", extra={"job": job.id, "code": error.code, "detail": str(error)}
            )
        return True

    def _run(self, job: Job, stopping: Callable[[], bool]) -> None:
        impatient = self.clock.now() - job.created_at >= PATIENCE
        run = _Run(self.book, job, job.owner or "", stopping, impatient)
        try:
            if job.starts > MAX_STARTS:
                self._park(job, "its runs ended without a word")
                return
            outcome = self.runners[job.kind](job, self._requester(job), run)
        except LeaseLostError:
            raise
        except ServiceError as error:
            if isinstance(error, MaintenanceError) or (error.retryable and not impatient):
                outcome = Interrupted(error)
            else:
                self.book.fail(job, error)
                return
        except Exception:
            # A bug in one job must end neither its worker nor the others, nor be tried for ever.
            log.exception("job failed unforeseen", extra={"job": job.id})
            self._park(job, "a bug; the log has its cause")
            return
        match outcome:
            case Finished(progress, results):
                self.book.finish(job, progress, results)
            case Interrupted(None):
                self.book.put_back(job, seconds=0, counts=False)
            case Interrupted(ServiceError() as why):
                log.warning("job put back", extra={"job": job.id, "code": why.code})
                seconds = backoff(job.attempts, cap=RETRY_CAP_SECONDS)
                self.book.put_back(job, seconds=max(seconds, why.retry_after or 0.0), counts=True)

    def _requester(self, job: Job) -> Caller:
        """Return who asked, with the rights of now. Raises ForbiddenError."""
        credential = self.credentials.with_id(job.credential_id)
        if credential is None or not credential.usable(self.clock.now()):
            raise ForbiddenError("the credential that asked for the job is not valid any more")
        return credential.caller

    def _park(self, job: Job, why: str) -> None:
        self.findings.open(
            NewFinding(JOB_PARKED, Severity.MEDIUM, job.id, {"kind": job.kind.value, "why": why})
        )
        self.book.fail(job, InternalError())
