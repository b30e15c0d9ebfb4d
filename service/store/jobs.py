"""Long jobs: claimed under leases, resumed by whoever comes next, kept for 7 days."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, Update, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis
from service.domain.errors import (
    IdempotencyKeyReusedError,
    InternalError,
    LeaseLostError,
    ServiceError,
    TooManyJobsError,
    by_code,
)
from service.domain.jobs import Job, JobKind, JobState, NewJob, Progress
from service.domain.limits import JOB_DAYS
from service.store.audit import record
from service.store.database import Database
from service.store.schema import OPEN_JOB, jobs
from service.store.sql import database_now, now_ms

KEPT_MILLIS: Final = JOB_DAYS * 24 * 3600 * 1000
PURGED_AT_ONCE: Final = 50  # old rows that one new row takes along: the table cannot grow

_BY_ID: Final = select(jobs).where(
    jobs.c.id == bindparam("which"),
    jobs.c.expires_at.is_(None) | (jobs.c.expires_at > now_ms()),
)
_BY_KEY: Final = select(jobs).where(
    jobs.c.credential_id == bindparam("who"), jobs.c.idempotency_key == bindparam("key")
)
_COUNT: Final = select(func.count()).where(jobs.c.credential_id == bindparam("who"), OPEN_JOB)
_DUE: Final = (OPEN_JOB, jobs.c.due_at <= now_ms(), jobs.c.lease_until <= now_ms())
_ANY_DUE: Final = select(jobs.c.id).where(*_DUE).limit(1)
_CHOOSE: Final = (
    select(jobs.c.seq)
    .where(*_DUE)
    .order_by(jobs.c.due_at, jobs.c.seq)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_CLAIM: Final = (
    update(jobs)
    .where(jobs.c.seq == bindparam("which"))
    .values(
        state=JobState.RUNNING.value,
        owner=bindparam("holder"),
        fencing=jobs.c.fencing + 1,
        starts=jobs.c.starts + 1,
        lease_until=now_ms() + bindparam("millis", type_=jobs.c.lease_until.type),
    )
    .returning(jobs)
)
_HELD: Final = (
    jobs.c.id == bindparam("which"),
    jobs.c.owner == bindparam("holder"),
    jobs.c.fencing == bindparam("fence"),
    OPEN_JOB,
)
_RENEW: Final = (
    update(jobs)
    .where(*_HELD, jobs.c.lease_until >= now_ms())
    .values(lease_until=now_ms() + bindparam("millis", type_=jobs.c.lease_until.type))
)
_ADVANCE: Final = (
    update(jobs)
    .where(*_HELD)
    .values(
        total=bindparam("of"),
        done=bindparam("so_far"),
        failed=bindparam("without"),
        notes=bindparam("left"),
        starts=0,
    )
)
_PUT_BACK: Final = (
    update(jobs)
    .where(*_HELD)
    .values(
        state=JobState.QUEUED.value,
        owner=None,
        lease_until=0,
        starts=0,
        attempts=jobs.c.attempts + bindparam("more", type_=jobs.c.attempts.type),
        due_at=now_ms() + bindparam("millis", type_=jobs.c.due_at.type),
    )
)
_ENDED: Final = {
    "owner": None,
    "lease_until": 0,
    "notes": None,
    "ended_at": now_ms(),
    "expires_at": now_ms() + KEPT_MILLIS,
}
_FINISH: Final = (
    update(jobs)
    .where(*_HELD)
    .values(
        state=JobState.DONE.value,
        total=bindparam("of"),
        done=bindparam("so_far"),
        failed=bindparam("without"),
        results=bindparam("outcome"),
        **_ENDED,
    )
)
_FAIL: Final = (
    update(jobs)
    .where(*_HELD)
    .values(
        state=JobState.FAILED.value,
        error_code=bindparam("code"),
        error_detail=bindparam("detail"),
        **_ENDED,
    )
)
_PURGE: Final = delete(jobs).where(
    jobs.c.seq.in_(
        select(jobs.c.seq)
        .where(jobs.c.expires_at < bindparam("now"))
        .limit(PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
)
_PURGE_KEY: Final = delete(jobs).where(
    jobs.c.credential_id == bindparam("who"),
    jobs.c.idempotency_key == bindparam("key"),
    jobs.c.expires_at < bindparam("now"),
)


class StoredJobBook:
    """service.ports.jobs.JobBook."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(self, new: NewJob, *, most_open: int) -> Job:
        submit = partial(_submit, new, most_open)
        try:
            return self._database.write(submit)
        except IntegrityError:
            # Another process was quicker by a hair with the same key: its job is there now.
            return self._database.write(submit)

    def get(self, job_id: str) -> Job | None:
        row = self._database.read(lambda c: c.execute(_BY_ID, {"which": job_id}).one_or_none())
        return None if row is None else _job_from(row)

    def claim(self, *, owner: str, seconds: float) -> Job | None:
        # As with the outbox: only a glance is spent when there is nothing.
        if not self._database.read(lambda connection: connection.execute(_ANY_DUE).all()):
            return None
        return self._database.write(partial(_claim, owner, round(seconds * 1000)))

    def renew(self, job: Job, *, seconds: float) -> None:
        self._held(_RENEW, job, {"millis": round(seconds * 1000)})

    def advance(self, job: Job, progress: Progress, notes: bytes) -> None:
        self._held(_ADVANCE, job, {"left": notes, **_figures(progress)})

    def put_back(self, job: Job, *, seconds: float, counts: bool) -> None:
        self._held(_PUT_BACK, job, {"millis": round(seconds * 1000), "more": int(counts)})

    def finish(self, job: Job, progress: Progress, results: bytes) -> None:
        event = _event(job, "job.done", failed=progress.failed, total=progress.total)
        self._held(_FINISH, job, {"outcome": results, **_figures(progress)}, event)

    def fail(self, job: Job, error: ServiceError) -> None:
        event = _event(job, "job.failed", code=error.code)
        self._held(_FAIL, job, {"code": error.code, "detail": str(error)}, event)

    def _held(
        self,
        statement: Update,
        job: Job,
        values: Mapping[str, object],
        event: AuditEvent | None = None,
    ) -> None:
        """Change the job, if the lease is still the one that it came with. Raises LeaseLostError.

        A lease that ran out without being taken by anybody is still good: the fence has not moved.
        """
        bound = {**values, "which": job.id, "holder": job.owner, "fence": job.fencing}

        def run(connection: Connection) -> None:
            if not connection.execute(statement, bound).rowcount:
                raise LeaseLostError
            if event is not None:
                record(connection, [event], now=database_now(connection))

        self._database.write(run)


def _submit(new: NewJob, most_open: int, connection: Connection) -> Job:
    now = database_now(connection)
    connection.execute(_PURGE, {"now": now})
    if new.idempotency_key is not None:
        named = {"who": new.credential_id, "key": new.idempotency_key}
        connection.execute(_PURGE_KEY, {**named, "now": now})
        row = connection.execute(_BY_KEY, named).one_or_none()
        if row is not None:
            if row.body_hash != new.body_hash:
                raise IdempotencyKeyReusedError
            return _job_from(row)
    if connection.execute(_COUNT, {"who": new.credential_id}).scalar_one() >= most_open:
        raise TooManyJobsError
    connection.execute(
        insert(jobs),
        {
            "id": new.id,
            "kind": new.kind.value,
            "state": JobState.QUEUED.value,
            "credential_id": new.credential_id,
            "requester": new.requester,
            "subject": new.subject,
            "request": new.request,
            "body_hash": new.body_hash,
            "idempotency_key": new.idempotency_key,
            "total": new.total,
            "done": 0,
            "failed": 0,
            "attempts": 0,
            "starts": 0,
            "due_at": now,
            "fencing": 0,
            "lease_until": 0,
            "created_at": now,
        },
    )
    job = _job_from(connection.execute(_BY_ID, {"which": new.id}).one())
    record(connection, [_event(job, "job.submitted", total=new.total)], now=now)
    return job


def _claim(owner: str, millis: int, connection: Connection) -> Job | None:
    which = connection.execute(_CHOOSE).scalar_one_or_none()
    if which is None:
        return None
    values = {"which": which, "holder": owner, "millis": millis}
    return _job_from(connection.execute(_CLAIM, values).one())


def _figures(progress: Progress) -> dict[str, int]:
    return {"of": progress.total, "so_far": progress.done, "without": progress.failed}


def _event(job: Job, action: str, **details: object) -> AuditEvent:
    return AuditEvent(action, job.requester, job.id, {"kind": job.kind.value, **details})


def _job_from(row: Row[Any]) -> Job:
    error = None
    if row.error_code is not None:
        error = (by_code(row.error_code) or InternalError)(row.error_detail)
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        state=JobState(row.state),
        credential_id=row.credential_id,
        requester=row.requester,
        subject=row.subject,
        request=row.request,
        body_hash=row.body_hash,
        idempotency_key=row.idempotency_key,
        progress=Progress(row.total, row.done, row.failed),
        created_at=from_millis(row.created_at),
        attempts=row.attempts,
        starts=row.starts,
        owner=row.owner,
        fencing=row.fencing,
        notes=row.notes,
        results=row.results,
        error=error,
        ended_at=None if row.ended_at is None else from_millis(row.ended_at),
    )
