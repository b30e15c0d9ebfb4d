"""Long jobs, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy

from service.domain.errors import (
    IdempotencyKeyReusedError,
    KeyNotUsableError,
    LeaseLostError,
    TooManyJobsError,
)
from service.domain.ids import new_id
from service.domain.jobs import Job, JobKind, JobState, NewJob, Progress
from service.store import Store

EXPIRED = -1.0
MANY = 100


def a_job(key: str | None = None, *, body: str = "body", who: str = "cred_1") -> NewJob:
    return NewJob(new_id("job"), JobKind.SIGN, who, "builder", "release", b"{}", body, 3, key)


def submitted(store: Store, new: NewJob | None = None) -> Job:
    return store.jobs.submit(new or a_job(), most_open=MANY)


def claimed(store: Store, owner: str = "own_1", *, seconds: float = 60) -> Job:
    job = store.jobs.claim(owner=owner, seconds=seconds)
    assert job is not None
    return job


def test_a_job_is_queued_runs_and_ends_with_its_results(store: Store) -> None:
    job = submitted(store)
    assert (job.state, job.progress, job.ended_at) == (JobState.QUEUED, Progress(3), None)
    running = claimed(store)
    assert (running.id, running.state, running.starts) == (job.id, JobState.RUNNING, 1)
    store.jobs.advance(running, Progress(3, 2, 1), b"[1,2]")
    shown = store.jobs.get(job.id)
    assert shown is not None
    assert (shown.progress, shown.notes, shown.starts) == (Progress(3, 2, 1), b"[1,2]", 0)
    store.jobs.finish(running, Progress(3, 3, 1), b"[1,2,3]")
    ended = store.jobs.get(job.id)
    assert ended is not None
    assert (ended.state, ended.progress, ended.results) == (
        JobState.DONE,
        Progress(3, 3, 1),
        b"[1,2,3]",
    )
    assert ended.ended_at is not None
    assert store.jobs.claim(owner="own_2", seconds=60) is None


def test_a_held_job_is_nobody_elses_until_its_lease_runs_out(store: Store) -> None:
    submitted(store)
    first = claimed(store, seconds=60)
    assert store.jobs.claim(owner="own_2", seconds=60) is None
    store.jobs.put_back(first, seconds=0, counts=False)
    dead = claimed(store, "own_1", seconds=EXPIRED)
    heir = claimed(store, "own_2")
    assert (heir.id, heir.fencing) == (dead.id, dead.fencing + 1)
    for late in (
        lambda: store.jobs.advance(dead, Progress(3, 1), b"[]"),
        lambda: store.jobs.finish(dead, Progress(3, 3), b"[]"),
        lambda: store.jobs.fail(dead, KeyNotUsableError()),
        lambda: store.jobs.put_back(dead, seconds=0, counts=False),
        lambda: store.jobs.renew(dead, seconds=60),
    ):
        with pytest.raises(LeaseLostError):
            late()
    store.jobs.renew(heir, seconds=60)
    store.jobs.fail(heir, KeyNotUsableError("no version is active"))
    ended = store.jobs.get(heir.id)
    assert ended is not None
    assert (ended.state, str(ended.error)) == (JobState.FAILED, "no version is active")
    assert isinstance(ended.error, KeyNotUsableError)


def test_a_job_that_was_put_back_is_due_later_and_remembers_its_attempts(store: Store) -> None:
    submitted(store)
    store.jobs.put_back(claimed(store), seconds=0, counts=True)
    again = claimed(store)
    assert (again.attempts, again.starts, again.state) == (1, 1, JobState.RUNNING)
    store.jobs.put_back(again, seconds=60, counts=True)
    assert store.jobs.claim(owner="own_2", seconds=60) is None


def test_runs_that_were_never_heard_of_again_are_counted(store: Store) -> None:
    submitted(store)
    assert [claimed(store, seconds=EXPIRED).starts for _ in range(3)] == [1, 2, 3]


def test_a_repeated_key_gives_the_job_that_there_is(store: Store) -> None:
    first = submitted(store, a_job("once"))
    assert submitted(store, a_job("once")).id == first.id
    with pytest.raises(IdempotencyKeyReusedError):
        submitted(store, a_job("once", body="another"))
    assert submitted(store, a_job("once", who="cred_2")).id != first.id
    assert submitted(store, a_job("twice")).id != first.id


def test_many_at_once_with_one_key_make_one_job(store: Store) -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(submitted(store, a_job("once")).id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(ids), len(set(ids))) == (8, 1)


def test_many_workers_at_once_get_different_jobs(store: Store) -> None:
    for _ in range(8):
        submitted(store)
    got: list[str] = []

    def work(owner: str) -> None:
        while (job := store.jobs.claim(owner=owner, seconds=60)) is not None:
            got.append(job.id)

    threads = [threading.Thread(target=work, args=(f"own_{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A row that another claim holds is skipped: whoever came too late looks again a moment later.
    work("own_last")
    assert sorted(got) == sorted(set(got))
    assert len(got) == 8


def test_a_credential_may_have_so_many_open_jobs(store: Store) -> None:
    for _ in range(2):
        store.jobs.submit(a_job(), most_open=2)
    with pytest.raises(TooManyJobsError):
        store.jobs.submit(a_job(), most_open=2)
    store.jobs.submit(a_job(who="cred_2"), most_open=2)
    store.jobs.finish(claimed(store), Progress(3, 3), b"[]")
    store.jobs.submit(a_job(), most_open=2)


def test_an_ended_job_is_forgotten_after_its_time(store: Store, store_url: str) -> None:
    job = submitted(store, a_job("once"))
    store.jobs.finish(claimed(store), Progress(3, 3), b"[]")
    assert store.jobs.get(job.id) is not None
    engine = sqlalchemy.create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE jobs SET expires_at = 1"))
    assert store.jobs.get(job.id) is None
    # Its key is free again, for another body too, and the row is gone.
    assert submitted(store, a_job("once", body="another")).id != job.id
    with engine.begin() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT count(*) FROM jobs")).scalar_one()
    engine.dispose()
    assert rows == 1


def test_what_a_job_was_asked_comes_back_as_it_was(store: Store) -> None:
    new = replace(a_job("k"), request=b'{"images":["\xc3\xa4"]}', requester="CI")
    job = store.jobs.get(submitted(store, new).id)
    assert job is not None
    assert (job.request, job.requester, job.subject, job.idempotency_key) == (
        new.request,
        "CI",
        "release",
        "k",
    )
