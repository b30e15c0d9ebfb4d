"""Signing requests that are done later (`Prefer: respond-async`, RFC 7240)."""

from __future__ import annotations

from typing import Final

from flask import Response

from service.domain import errors
from service.domain.jobs import Job, JobState
from service.domain.serving import ServerRole
from service.operations.signing_jobs import SigningJob
from service.web import dump_jobs
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.jobs import SigningJobSchema
from service.web.signing_answer import signing_body, signing_status

routes = Routes("signing-jobs", "Signing requests that are done later.", role=ServerRole.SIGN)

POLL_SECONDS: Final = 1  # a job of one image takes about so long


def accepted(job: Job) -> Response:
    """Return 202, and where the job can be looked at."""
    headers = {
        "Location": f"/v1/signature-jobs/{job.id}",
        "Preference-Applied": "respond-async",
        "Retry-After": str(POLL_SECONDS),
    }
    return answer(dump_jobs.job(job), 202, headers=headers)


@routes.add(
    "GET",
    "/v1/signature-jobs/<job_id>",
    summary="How far a signing job is, and what it came to (its requester, and auditors)",
    answers={200: in_json("The job; with its results once it is done.", SigningJobSchema)},
    errors=(errors.NotFoundError,),
)
def show_signing_job(call: Call, job_id: str) -> Response:
    found = call.operations.signing_jobs.show(call.caller, job_id)
    if found.job.state in {JobState.QUEUED, JobState.RUNNING}:
        return answer(_shown(call, found), headers={"Retry-After": str(POLL_SECONDS)})
    return answer(_shown(call, found))


def _shown(call: Call, found: SigningJob) -> JSONObject:
    body = dump_jobs.job(found.job)
    if found.items is None:
        return body
    artifact = None if found.asked.request.attach else call.operations.sign.artifact
    status = signing_status(found.items, any_failure_fails=found.asked.any_failure_fails)
    return {**body, "status": int(status), **signing_body(found.items, artifact)}
