"""`Prefer: respond-async`: a signing request as a job (service.operations.run_jobs).

The job runs under an Idempotency-Key: the caller's, so that the same request sent without
`Prefer` gets the job's results, or one of its own. It goes through its images in parts. A run
that takes over from a dead one finds the finished parts in the job's notes, and in the part
that was under way what was signed, by its request id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from service.domain.callers import Caller, Role
from service.domain.errors import NotFoundError
from service.domain.ids import new_id
from service.domain.jobs import Job, JobKind, NewJob, Progress
from service.domain.keys import Purpose
from service.domain.limits import MAX_OPEN_JOBS
from service.domain.signing import ImageToSign, SignedItem, SigningRequest
from service.operations.choose import choose_key
from service.operations.log import ProveEntries
from service.operations.replay import Replays, dump_items, load_items
from service.operations.sign import SignImages
from service.ports.jobs import Finished, Interrupted, JobBook, Run
from service.ports.store import IdempotentRequest, KeyCatalog, Outbox

PART: Final = 100  # images between two records of progress: a second's work or two


@dataclass(frozen=True, slots=True)
class AskedForSigning:
    """What a job's `request` says. `any_failure_fails` is the edge's: how the answer is told."""

    request: SigningRequest
    any_failure_fails: bool


@dataclass(frozen=True, slots=True)
class SigningJob:
    """A job as its requester sees it; `items` once it is done."""

    job: Job
    asked: AskedForSigning
    items: tuple[SignedItem, ...] | None


@dataclass(frozen=True, slots=True)
class SigningJobs:
    book: JobBook
    keys: KeyCatalog
    outbox: Outbox
    prove: ProveEntries

    def submit(
        self,
        caller: Caller,
        asked: AskedForSigning,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> Job:
        """Record the request as a job and return it; nothing is signed yet.

        Raises:
            ForbiddenError, KeyNotFoundError, KeyNotNamedError, KeyNotUsableError: as for a
                request that waits.
            IdempotencyKeyReusedError, TooManyJobsError.
        """
        key = choose_key(self.keys, caller, asked.request.key, Purpose.IMAGE)
        return self.book.submit(
            NewJob(
                id=new_id("job"),
                kind=JobKind.SIGN,
                credential_id=caller.credential_id,
                requester=caller.name,
                subject=key.name,
                request=_dump(asked),
                body_hash=body_hash,
                total=len(asked.request.images),
                idempotency_key=idempotency_key,
            ),
            most_open=MAX_OPEN_JOBS,
        )

    def show(self, caller: Caller, job_id: str) -> SigningJob:
        """Raises NotFoundError, also for what the caller may not see."""
        job = self.book.get(job_id)
        if job is None or job.kind is not JobKind.SIGN or not may_see(caller, job):
            raise NotFoundError(f"there is no job {job_id!r}")
        asked = asked_for(job)
        if job.results is None:
            return SigningJob(job, asked, None)
        items = load_items(job.results, self.outbox)
        proofs = self.prove([made.id for item in items for made in item.every_signature()])
        return SigningJob(job, asked, tuple(_with_proofs(item, proofs) for item in items))


@dataclass(frozen=True, slots=True)
class RunSigningJob:
    """service.ports.jobs.JobRunner."""

    sign: SignImages
    replays: Replays
    outbox: Outbox

    def __call__(self, job: Job, caller: Caller, run: Run) -> Finished | Interrupted:
        request = asked_for(job).request
        # No caller can send a key with a space in it.
        key = job.idempotency_key or f"job {job.id}"
        with self.replays.holding(caller, key, body_hash=job.body_hash, owner=run.owner) as replay:
            if replay.request.results is not None:
                # Somebody sent the same request without `Prefer`, or an earlier run ended in part.
                items = self.sign.run(caller, request, owner=run.owner, held=replay.request)
            else:
                items = self._in_parts(job, caller, request, replay.request, run)
                if len(items) < len(request.images):
                    return Interrupted()
            replay.results = items
        failing = [error for item in items for error in item.errors() if error.retryable]
        if failing and not run.is_out_of_patience():
            return Interrupted(failing[0])
        return Finished(_progress(items, len(items)), dump_items(items))

    def _in_parts(
        self,
        job: Job,
        caller: Caller,
        request: SigningRequest,
        held: IdempotentRequest,
        run: Run,
    ) -> tuple[SignedItem, ...]:
        """Return the items of all parts, or of those that were done before the process must end."""
        images = request.images
        items = [] if job.notes is None else list(load_items(job.notes, self.outbox))
        if len(items) == len(images):
            # The run before went through all of them, and its end was not kept: try them again.
            items = []
        while len(items) < len(images) and not run.must_stop():
            first = len(items)
            part = replace(request, images=images[first : first + PART])
            # Under the request's own id: whoever has the key next, another run of the job or the
            # same request sent without `Prefer`, finds what was signed by it.
            items += self.sign.run(caller, part, owner=run.owner, held=held, first=first)
            run.advance(_progress(items, len(images)), dump_items(items))
        return tuple(items)


def may_see(caller: Caller, job: Job) -> bool:
    return caller.credential_id == job.credential_id or caller.role is Role.AUDITOR


def _progress(items: Sequence[SignedItem], total: int) -> Progress:
    return Progress(total, len(items), sum(1 for item in items if any(item.errors())))


def _with_proofs(item: SignedItem, proofs: Mapping[str, Any]) -> SignedItem:
    return replace(
        item,
        signatures=tuple(replace(one, log=proofs.get(one.id)) for one in item.signatures),
        children=tuple(_with_proofs(child, proofs) for child in item.children),
    )


def _dump(asked: AskedForSigning) -> bytes:
    request = asked.request
    told = {
        "images": [
            [i.unverified_reference, i.item_id, i.identity, i.unverified_descriptor]
            for i in request.images
        ],
        "key": request.key,
        "formats": request.formats,
        "annotations": dict(request.annotations),
        "recursive": request.recursive,
        "attach": request.attach,
        "force": request.force,
        "promises": request.promises,
        "any_failure_fails": asked.any_failure_fails,
    }
    return json.dumps(told, separators=(",", ":")).encode()


def asked_for(job: Job) -> AskedForSigning:
    told = json.loads(job.request)
    formats = told["formats"]
    request = SigningRequest(
        images=tuple(
            ImageToSign(reference, item_id, identity, tuple(given) if given else None)
            for reference, item_id, identity, given in told["images"]
        ),
        key=told["key"],
        formats=None if formats is None else tuple(formats),
        annotations=told["annotations"],
        recursive=told["recursive"],
        attach=told["attach"],
        force=told["force"],
        promises=told.get("promises", False),  # what was asked before it could be
    )
    return AskedForSigning(request, told["any_failure_fails"])
