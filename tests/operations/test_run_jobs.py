"""What becomes of a job when its run ends well, badly, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.domain.callers import Caller, Role
from service.domain.clock import SystemClock
from service.domain.errors import (
    ForbiddenError,
    HSMUnavailableError,
    KeyNotUsableError,
    StoreUnavailableError,
)
from service.domain.jobs import Job, JobKind, JobState, NewJob, Progress
from service.operations.renewal import LeaseRenewer
from service.operations.run_jobs import MAX_STARTS, RunJobs
from service.ports.jobs import Finished, Interrupted, Run
from tests.support.jobs import MemoryJobs
from tests.support.operations import World, new_world

Outcome = Callable[[], Finished | Interrupted]
DONE = Finished(Progress(1, 1), b"[]")


class HandClock(SystemClock):
    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Scripted:
    """A runner that does what the test says, and remembers on whose behalf."""

    def __init__(self, *script: Finished | Interrupted | Exception) -> None:
        self.script = list(script)
        self.callers: list[Caller] = []
        self.runs: list[Run] = []

    def __call__(self, job: Job, caller: Caller, run: Run) -> Finished | Interrupted:
        self.callers.append(caller)
        self.runs.append(run)
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Bench:
    def __init__(self, *script: Finished | Interrupted | Exception) -> None:
        self.world: World = new_world()
        self.book: MemoryJobs = self.world.jobs
        self.runner = Scripted(*script)
        self.clock = HandClock()
        self.jobs = RunJobs(
            self.book,
            self.world.book,
            self.world.catalog.findings,
            {JobKind.SIGN: self.runner},
            LeaseRenewer(SystemClock()),
            self.clock,
        )
        caller = self.world.book.credentials[Role.BUILDER.value].caller
        new = NewJob("job_1", JobKind.SIGN, caller.credential_id, caller.name, "k", b"", "h", 1)
        self.book.submit(new, most_open=1)

    def run(self) -> Job:
        assert self.jobs.run_once(owner="own", stopping=lambda: False)
        return self.book.jobs["job_1"]


def test_a_job_runs_on_behalf_of_its_requester_and_is_finished() -> None:
    bench = Bench(DONE)
    job = bench.run()
    assert (job.state, job.results, job.progress) == (JobState.DONE, b"[]", Progress(1, 1))
    assert [caller.name for caller in bench.runner.callers] == ["builder"]
    assert not bench.jobs.run_once(owner="own", stopping=lambda: False)


def test_a_requester_with_fewer_rights_by_now_has_those() -> None:
    bench = Bench(DONE)
    known = bench.world.book.credentials["builder"]
    fewer = replace(known, caller=replace(known.caller, repositories=("host/other",)))
    bench.world.book.credentials["builder"] = fewer
    bench.run()
    assert bench.runner.callers[0].repositories == ("host/other",)


@pytest.mark.parametrize("how", ["revoked", "expired", "gone"])
def test_a_requester_whose_credential_does_not_hold_any_more_gets_nothing_done(how: str) -> None:
    bench = Bench(DONE)
    known = bench.world.book.credentials.pop("builder")
    now = SystemClock().now()
    changed = {"revoked": {"revoked_at": now}, "expired": {"expires_at": now}}
    if how in changed:
        bench.world.book.credentials["builder"] = replace(known, **changed[how])  # type: ignore[arg-type]
    job = bench.run()
    assert job.state is JobState.FAILED
    assert isinstance(job.error, ForbiddenError)
    assert bench.runner.callers == []


def test_a_failure_that_may_pass_puts_the_job_back_and_one_for_good_ends_it() -> None:
    bench = Bench(HSMUnavailableError(), Interrupted(StoreUnavailableError()), KeyNotUsableError())
    assert (bench.run().state, bench.run().attempts) == (JobState.QUEUED, 2)
    job = bench.run()
    assert job.state is JobState.FAILED
    assert isinstance(job.error, KeyNotUsableError)


def test_a_run_that_must_stop_puts_the_job_back_without_counting() -> None:
    bench = Bench(Interrupted(), DONE)
    assert (bench.run().state, bench.run().state) == (JobState.QUEUED, JobState.DONE)
    assert bench.book.jobs["job_1"].attempts == 0


def test_after_an_hour_what_fails_in_passing_is_taken_as_it_is() -> None:
    bench = Bench(HSMUnavailableError(), HSMUnavailableError())
    assert bench.run().state is JobState.QUEUED
    assert not bench.runner.runs[0].is_out_of_patience()
    bench.clock.ahead = timedelta(hours=1, seconds=1)
    assert isinstance(bench.run().error, HSMUnavailableError)
    assert bench.runner.runs[1].is_out_of_patience()


def findings(bench: Bench) -> list[tuple[str, str]]:
    return [(found.code, found.subject) for found in bench.world.catalog.findings.items]


def test_a_bug_ends_the_job_with_a_finding_and_shows_nothing_of_itself() -> None:
    bench = Bench(ZeroDivisionError("s3cret"))
    job = bench.run()
    assert (job.state, findings(bench)) == (JobState.FAILED, [("job-parked", "job_1")])
    assert "s3cret" not in str(job.error)


def test_a_job_that_kills_its_workers_is_parked() -> None:
    bench = Bench(DONE)
    bench.book.jobs["job_1"] = replace(bench.book.jobs["job_1"], starts=MAX_STARTS + 1)
    assert (bench.run().state, findings(bench)) == (JobState.FAILED, [("job-parked", "job_1")])
    assert bench.runner.callers == []
    patient = Bench(DONE)
    patient.book.jobs["job_1"] = replace(patient.book.jobs["job_1"], starts=MAX_STARTS)
    assert patient.run().state is JobState.DONE


def test_a_run_that_lost_its_lease_changes_nothing() -> None:
    bench = Bench(DONE)
    heir: list[Job] = []

    def overtaken(job: Job, caller: Caller, run: Run) -> Finished | Interrupted:
        bench.book.jobs["job_1"] = replace(bench.book.jobs["job_1"], owner=None)
        found = bench.book.claim(owner="heir", seconds=1)
        assert found is not None
        heir.append(found)
        return DONE

    bench.jobs = replace(bench.jobs, runners={JobKind.SIGN: overtaken})
    assert bench.run() == heir[0]
