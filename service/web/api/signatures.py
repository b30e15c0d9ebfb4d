"""Signing images, and the record of signatures."""

from __future__ import annotations

import re
from typing import Final

from flask import Response, request

from service.domain import errors
from service.domain.limits import MAX_IDEMPOTENCY_KEY_CHARS
from service.domain.serving import ServerRole
from service.operations.signing_jobs import AskedForSigning
from service.web import dump
from service.web.api.signing_jobs import accepted
from service.web.bodies import body_hash
from service.web.responses import answer
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.common import ProblemSchema
from service.web.schemas.fields import page_request
from service.web.schemas.jobs import SigningJobSchema
from service.web.schemas.signing import (
    OUTCOME_UNKNOWN,
    SignaturePageSchema,
    SignatureQuery,
    SignatureSchema,
    SigningAnswerSchema,
    SigningRequestSchema,
    WantedSignatures,
    wanted_records,
)
from service.web.signing_answer import signing_answer

routes = Routes("signatures", "Sign images, and read what was signed.", role=ServerRole.SIGN)

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
PREFER: Final = "Prefer"
_VISIBLE_ASCII: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_IDEMPOTENCY_KEY_CHARS}}}")

RESULTS_OR_PROBLEM: Final = {
    "application/json": SigningAnswerSchema,
    "application/problem+json": ProblemSchema,
}


def idempotency_key() -> str | None:
    """Return the header's value, or None without one.

    Raises:
        InvalidRequestError: it is none that can be kept.
    """
    value = request.headers.get(IDEMPOTENCY_KEY)
    if value is not None and not _VISIBLE_ASCII.fullmatch(value):
        fault = f"1 to {MAX_IDEMPOTENCY_KEY_CHARS} visible ASCII characters"
        raise errors.InvalidRequestError(errors={IDEMPOTENCY_KEY: [fault]})
    return value


def prefers_async() -> bool:
    """Whether the caller would rather come back for the answer (RFC 7240, section 4.1)."""
    preferences = ",".join(request.headers.getlist(PREFER)).split(",")
    return any(one.partition(";")[0].strip().lower() == "respond-async" for one in preferences)


@routes.add(
    "POST",
    "/v1/signatures",
    summary="Sign 1 to 1,000 images",
    body=SigningRequestSchema,
    headers={
        IDEMPOTENCY_KEY: "Names the request for 7 days: sent again with the same body, it gives "
        "the items that succeeded or failed for good as they were, and tries the others again.",
        PREFER: "`respond-async`: answer 202 at once with a job, which is done later.",
    },
    answers={
        201: in_json("Every item succeeded.", SigningAnswerSchema),
        202: in_json(
            "With `Prefer: respond-async`: the job, as `Location` names it.", SigningJobSchema
        ),
        207: in_json("Some items failed; each says why.", SigningAnswerSchema),
        422: Answer("The request is wrong, or no item succeeded.", RESULTS_OR_PROBLEM),
        503: Answer("Nothing could be done now; retry.", RESULTS_OR_PROBLEM),
    },
    errors=(
        errors.ForbiddenError,
        errors.PolicyDeniedError,
        errors.KeyNotFoundError,
        errors.KeyNotUsableError,
        errors.RequestInProgressError,
        errors.TooManyJobsError,
        errors.RegistryDeniedError,
    ),
)
def create(call: Call) -> Response:
    body = call.json()
    wanted: WantedSignatures = call.load(body)
    if prefers_async():
        job = call.operations.signing_jobs.submit(
            call.caller,
            AskedForSigning(wanted.request, wanted.any_failure_fails),
            idempotency_key=idempotency_key(),
            body_hash=body_hash(body),
        )
        return accepted(job)
    items = call.operations.sign(
        call.caller,
        wanted.request,
        idempotency_key=idempotency_key(),
        body_hash=body_hash(body),
    )
    artifact = None if wanted.request.attach else call.operations.sign.artifact
    return signing_answer(items, artifact, any_failure_fails=wanted.any_failure_fails)


@routes.add(
    "GET",
    "/v1/signatures",
    summary="List signatures, the newest first",
    query=SignatureQuery,
    answers={200: in_json("A page of signatures.", SignaturePageSchema)},
    errors=(errors.InvalidRequestError, errors.ForbiddenError),
)
def list_signatures(call: Call) -> Response:
    query = call.query()
    wanted, page = wanted_records(query), page_request(query)
    records = call.operations.records
    if query.get("state") == OUTCOME_UNKNOWN:
        intents = records.unknown_outcomes(call.caller, wanted, page)
        return answer(dump.page(intents, dump.unknown_outcome))
    return answer(dump.page(records.signatures(call.caller, wanted, page), dump.signature))


@routes.add(
    "GET",
    "/v1/signatures/<signature_id>",
    summary="Show one signature",
    answers={200: in_json("The signature.", SignatureSchema)},
    errors=(errors.NotFoundError, errors.ForbiddenError),
)
def show_signature(call: Call, signature_id: str) -> Response:
    return answer(dump.signature(call.operations.records.signature(call.caller, signature_id)))
