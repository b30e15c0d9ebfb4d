"""Long jobs in memory, for tests of the edge: the obligations of `service.ports.jobs.JobBook`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from service.domain.clock import SystemClock
from service.domain.errors import (
    IdempotencyKeyReusedError,
    LeaseLostError,
    ServiceError,
    TooManyJobsError,
)
from service.domain.jobs import Job, JobState, NewJob, Progress
from service.operations.replay import dump_items
from service.operations.signing_jobs import asked_for

if TYPE_CHECKING:
    from tests.support.operations import World


class MemoryJobs:
    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}

    def submit(self, new: NewJob, *, most_open: int) -> Job:
        mine = [job for job in self.jobs.values() if job.credential_id == new.credential_id]
        for job in mine:
            if new.idempotency_key is not None and job.idempotency_key == new.idempotency_key:
                if job.body_hash != new.body_hash:
                    raise IdempotencyKeyReusedError
                return job
        if sum(1 for job in mine if job.ended_at is None) >= most_open:
            raise TooManyJobsError
        made = Job(
            id=new.id,
            kind=new.kind,
            state=JobState.QUEUED,
            credential_id=new.credential_id,
            requester=new.requester,
            subject=new.subject,
            request=new.request,
            body_hash=new.body_hash,
            idempotency_key=new.idempotency_key,
            progress=Progress(new.total),
            created_at=SystemClock().now(),
        )
        self.jobs[made.id] = made
        return made

    def get(self, job_id: str) -> Job | None:
        return self.jobs.get(job_id)

    def claim(self, *, owner: str, seconds: float) -> Job | None:
        for job in self.jobs.values():
            if job.ended_at is None and job.owner is None:
                return self._put(job, owner=owner, fencing=job.fencing + 1, state=JobState.RUNNING)
        return None

    def renew(self, job: Job, *, seconds: float) -> None:
        self._held(job)

    def advance(self, job: Job, progress: Progress, notes: bytes) -> None:
        self._put(self._held(job), progress=progress, notes=notes)

    def put_back(self, job: Job, *, seconds: float, counts: bool) -> None:
        found = self._held(job)
        self._put(found, state=JobState.QUEUED, owner=None, attempts=found.attempts + int(counts))

    def finish(self, job: Job, progress: Progress, results: bytes) -> None:
        self._end(job, state=JobState.DONE, progress=progress, results=results)

    def fail(self, job: Job, error: ServiceError) -> None:
        self._end(job, state=JobState.FAILED, error=error)

    def _end(self, job: Job, **changed: object) -> None:
        self._put(self._held(job), owner=None, ended_at=SystemClock().now(), **changed)

    def _held(self, job: Job) -> Job:
        found = self.jobs[job.id]
        if (found.owner, found.fencing) != (job.owner, job.fencing):
            raise LeaseLostError
        return found

    def _put(self, job: Job, **changed: object) -> Job:
        made = self.jobs[job.id] = replace(job, **changed)  # type: ignore[arg-type]
        return made


def finish_jobs(world: World) -> None:
    """Do every open signing job as the worker would, by the signing of this world."""
    while (job := world.jobs.claim(owner="own", seconds=60)) is not None:
        caller = world.book.by_id()[job.credential_id].caller
        request = asked_for(job).request
        items = world.signing(caller, request, idempotency_key=None, body_hash="")
        failed = sum(1 for item in items if item.error)
        world.jobs.finish(job, Progress(len(items), len(items), failed), dump_items(items))
