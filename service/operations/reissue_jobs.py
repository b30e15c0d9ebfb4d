"""Reissue as a job: everything that stands by other versions of a key, signed again under one.

A rotation followed by it leaves every image verifiable with the new version alone, and so does a
compromise: what the record holds is signed again, what it does not hold is told as forged. It
goes through the images in the order in which they were first signed; what stands under the new
version already is left as it is, so that it can be run, killed and run again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from service.domain.callers import Caller
from service.domain.errors import KeyNotUsableError, NotFoundError, ServiceError
from service.domain.findings import SIGNATURE_FORGED, NewFinding, Severity
from service.domain.ids import new_id
from service.domain.jobs import Job, JobKind, NewJob, Progress
from service.domain.keys import KeyState, KeyVersion
from service.domain.lifecycle import version_of
from service.domain.limits import MAX_OPEN_JOBS
from service.domain.purposes import ImageVersion, image_key, image_versions
from service.domain.references import NO_REPOSITORY
from service.domain.reissues import ForgedSignature, NotReissued, Reissue, ReissueReport
from service.domain.signing import SignedItem
from service.operations.cycle import Run as SigningRun
from service.operations.decide import require_action
from service.operations.fanout import Fanout
from service.operations.refusals import refusals_told
from service.operations.reissue_images import Examined, ExamineImages
from service.operations.sign import SignImages
from service.policy.roles import Action
from service.ports.jobs import Finished, Interrupted, JobBook, Run
from service.ports.store import AuditTrail, Findings, KeyCatalog, SignedImage, SignedImages

PART: Final = 25  # images between two records of progress: each asks its registry some times


@dataclass(frozen=True, slots=True)
class ReissueJob:
    job: Job
    asked: Reissue
    report: ReissueReport


@dataclass(frozen=True, slots=True)
class ReissueJobs:
    book: JobBook
    keys: KeyCatalog
    audit: AuditTrail

    def submit(self, caller: Caller, asked: Reissue, *, idempotency_key: str | None) -> ReissueJob:
        """Raises ForbiddenError, KeyNotFoundError, KeyNotUsableError, TooManyJobsError."""
        subject = f"{asked.key}/{asked.version}"
        with refusals_told(self.audit, caller, subject, "reissue"):
            require_action(caller, Action.REISSUE)
            target_of(self.keys, asked)
        request = json.dumps(asdict(asked), sort_keys=True)
        job = self.book.submit(
            NewJob(
                id=new_id("rei"),
                kind=JobKind.REISSUE,
                credential_id=caller.credential_id,
                requester=caller.name,
                subject=subject,
                request=request.encode(),
                body_hash=request,
                total=0,
                idempotency_key=idempotency_key,
            ),
            most_open=MAX_OPEN_JOBS,
        )
        return _shown(job)

    def show(self, caller: Caller, job_id: str) -> ReissueJob:
        """Raises ForbiddenError, NotFoundError."""
        require_action(caller, Action.SEE_REISSUES)
        job = self.book.get(job_id)
        if job is None or job.kind is not JobKind.REISSUE:
            raise NotFoundError(f"there is no job {job_id!r}")
        return _shown(job)


@dataclass(frozen=True, slots=True)
class RunReissueJob:
    """service.ports.jobs.JobRunner."""

    keys: KeyCatalog
    images: SignedImages
    examine: ExamineImages
    sign: SignImages
    findings: Findings
    fanout: Fanout

    def __call__(self, job: Job, caller: Caller, run: Run) -> Finished | Interrupted:
        require_action(caller, Action.REISSUE)
        asked = Reissue(**json.loads(job.request))
        after, swept, report = _noted(job.notes)
        total = job.progress.total or self.images.count(asked.key, but=asked.version)
        while True:
            # Looked up for each part: the version may be suspended, or another compromised.
            target, others = target_of(self.keys, asked)
            part = self.images.page(asked.key, but=asked.version, after=after, limit=PART)
            if not part:
                break
            if run.must_stop():
                return Interrupted()
            examined = self._examined(part, target, others)
            signing = SigningRun(
                caller.credential_id, f"{job.id}.{after}", run.owner, attach=True, force=False
            )
            items = [] if asked.dry_run else self._signed(examined, signing)
            of_part = _report(examined, items)
            passing = next((e for e in _errors(examined, items) if e.retryable), None)
            if passing is not None and not run.is_out_of_patience():
                return Interrupted(passing)
            self._tell(asked.key, of_part.forgeries)
            after, report = part[-1].number, report.plus(of_part)
            run.advance(_progress(report, max(total, report.images)), _dump(after, swept, report))
        return self._sweep(asked, run, after, swept, report)

    def _sweep(
        self, asked: Reissue, run: Run, after: int, name: str, report: ReissueReport
    ) -> Finished | Interrupted:
        """Look in each repository for signatures by the key on images that were never signed."""
        _, others = target_of(self.keys, asked)
        for repository in self.images.repositories(asked.key, but=asked.version, after=name):
            if run.must_stop():
                return Interrupted()
            if repository == NO_REPOSITORY:
                continue
            try:
                unknown = self.examine.unknown(repository, asked.key, but=asked.version)
                found = self.fanout.map(
                    lambda image: self.examine.forgeries(image, tuple(others.values())), unknown
                )
            except ServiceError as error:
                if error.retryable and not run.is_out_of_patience():
                    return Interrupted(error)
                failure = NotReissued(str(repository), error.code, str(error))
                report = report.plus(ReissueReport(unseen=1, failures=(failure,)))
                found = ()
            forgeries = tuple(forged for each in found for forged in each)
            self._tell(asked.key, forgeries)
            report = report.plus(ReissueReport(forged=len(forgeries), forgeries=forgeries))
            name = str(repository)
            run.advance(_progress(report, report.images), _dump(after, name, report))
        return Finished(_progress(report, report.images), _dump(after, name, report))

    def _examined(
        self,
        part: Sequence[SignedImage],
        target: ImageVersion,
        others: Mapping[int, KeyVersion],
    ) -> Sequence[Examined]:
        return self.fanout.map(
            lambda index: self.examine(part[index], index, target, others), range(len(part))
        )

    def _signed(self, examined: Sequence[Examined], run: SigningRun) -> Sequence[SignedItem]:
        wanted = [
            one.prepared for one in examined if one.prepared is not None and one.prepared.units
        ]
        return self.sign.prepared(wanted, run) if wanted else ()

    def _tell(self, key: str, forgeries: Sequence[ForgedSignature]) -> None:
        for forged in forgeries:
            subject = f"{forged.reference} {key}/{forged.version} {forged.format}"
            evidence = asdict(forged)
            self.findings.open(NewFinding(SIGNATURE_FORGED, Severity.CRITICAL, subject, evidence))


def target_of(keys: KeyCatalog, asked: Reissue) -> tuple[ImageVersion, dict[int, KeyVersion]]:
    """Return the version to sign under, and the others by their numbers.

    Raises:
        KeyNotFoundError; KeyNotUsableError: the key is none for images, or the version not active.
    """
    found = keys.get(asked.key)
    version = version_of(found, asked.key, asked.version)
    if found is None or version.state is not KeyState.ACTIVE:
        raise KeyNotUsableError(f"{version.subject} is {version.state}, not active")
    active = image_versions(image_key(found))
    target = next(one for one in active if one.version == asked.version)
    return target, {one.version: one for one in found.versions if one.version != asked.version}


def _errors(examined: Sequence[Examined], items: Sequence[SignedItem]) -> list[ServiceError]:
    found = [one.prepared.error for one in examined if one.prepared is not None]
    return [e for e in (*found, *(item.error for item in items)) if e is not None]


def _report(examined: Sequence[Examined], items: Sequence[SignedItem]) -> ReissueReport:
    signed = {item.reference: item for item in items}
    report = ReissueReport()
    for one in examined:
        report = report.plus(_of_image(one, signed.get(one.reference)))
    return report


def _of_image(one: Examined, item: SignedItem | None) -> ReissueReport:
    forged, told = len(one.forgeries), one.forgeries
    if one.prepared is None:
        return ReissueReport(gone=1, forged=forged, forgeries=told)
    error = one.prepared.error or (None if item is None else item.error)
    if error is not None:
        failure = NotReissued(one.reference, error.code, str(error))
        return ReissueReport(failed=1, forged=forged, forgeries=told, failures=(failure,))
    if not one.prepared.units:
        return ReissueReport(already=1, forged=forged, forgeries=told)
    return ReissueReport(reissued=1, forged=forged, forgeries=told)


def _progress(report: ReissueReport, total: int) -> Progress:
    return Progress(total, report.images, report.failed)


def _shown(job: Job) -> ReissueJob:
    _, _, report = _noted(job.results if job.results is not None else job.notes)
    return ReissueJob(job, Reissue(**json.loads(job.request)), report)


def _dump(after: int, swept: str, report: ReissueReport) -> bytes:
    """Keep how far it is: through the images up to a number, then the repositories up to a name."""
    noted = {"after": after, "swept": swept, "report": asdict(report)}
    return json.dumps(noted, separators=(",", ":")).encode()


def _noted(kept: bytes | None) -> tuple[int, str, ReissueReport]:
    if kept is None:
        return 0, "", ReissueReport()
    noted: dict[str, Any] = json.loads(kept)
    report = noted["report"]
    forgeries = tuple(ForgedSignature(**one) for one in report.pop("forgeries"))
    failures = tuple(NotReissued(**one) for one in report.pop("failures"))
    made = ReissueReport(**report, forgeries=forgeries, failures=failures)
    return noted["after"], noted["swept"], made
