"""Reissue (role custodian): after a rotation, or a compromise."""

from __future__ import annotations

from dataclasses import asdict

from flask import Response

from service.domain import errors
from service.domain.reissues import Reissue
from service.domain.serving import ServerRole
from service.operations.reissue_jobs import ReissueJob
from service.web import dump_jobs
from service.web.api.signatures import IDEMPOTENCY_KEY, idempotency_key
from service.web.api.signing_jobs import POLL_SECONDS
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.reissues import ReissueJobSchema, ReissueRequestSchema

routes = Routes(
    "reissues",
    "What stands, signed again under another version of its key.",
    role=ServerRole.MANAGE,
)


@routes.add(
    "POST",
    "/v1/keys/<name>/versions/<int:number>/reissue",
    summary="Sign again under this version what stands by others (role custodian)",
    body=ReissueRequestSchema,
    body_required=False,
    headers={IDEMPOTENCY_KEY: "Sent again, it gives the same job, for 7 days."},
    answers={202: in_json("The job, as `Location` names it.", ReissueJobSchema)},
    errors=(
        errors.ForbiddenError,
        errors.KeyNotFoundError,
        errors.KeyNotUsableError,
        errors.InvalidRequestError,
        errors.TooManyJobsError,
    ),
)
def reissue(call: Call, name: str, number: int) -> Response:
    asked = Reissue(name, number, dry_run=call.body()["dry_run"])
    made = call.operations.reissues.submit(call.caller, asked, idempotency_key=idempotency_key())
    headers = {
        "Location": f"/v1/reissue-jobs/{made.job.id}",
        "Retry-After": str(POLL_SECONDS),
    }
    return answer(_shown(made), 202, headers=headers)


@routes.add(
    "GET",
    "/v1/reissue-jobs/<job_id>",
    summary="How far a reissue is, and what it has found (custodians, auditors)",
    answers={200: in_json("The job.", ReissueJobSchema)},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def show_reissue(call: Call, job_id: str) -> Response:
    return answer(_shown(call.operations.reissues.show(call.caller, job_id)))


def _shown(found: ReissueJob) -> JSONObject:
    report = found.report
    return {
        **dump_jobs.job(found.job),
        "key": found.asked.key,
        "version": found.asked.version,
        "dry_run": found.asked.dry_run,
        "counts": {
            "reissued": report.reissued,
            "already": report.already,
            "gone": report.gone,
            "failed": report.failed,
            "forged": report.forged,
            "unseen": report.unseen,
        },
        "forged": [asdict(one) for one in report.forgeries],
        "failures": [asdict(one) for one in report.failures],
    }
