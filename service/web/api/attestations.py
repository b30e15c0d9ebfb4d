"""Attesting: statements about images that are no signatures of them."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web.api.signatures import IDEMPOTENCY_KEY, RESULTS_OR_PROBLEM, idempotency_key
from service.web.bodies import body_hash
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.attestations import AttestationRequestSchema, WantedAttestations
from service.web.schemas.signing import SigningAnswerSchema
from service.web.signing_answer import signing_answer

routes = Routes(
    "attestations",
    "Attest what is known of images: provenance, contents, scans.",
    role=ServerRole.SIGN,
)


@routes.add(
    "POST",
    "/v1/attestations",
    summary="Attest 1 to 100 predicates about images",
    body=AttestationRequestSchema,
    headers={
        IDEMPOTENCY_KEY: "Names the request for 7 days, as for `POST /v1/signatures`.",
    },
    answers={
        201: in_json("Every item succeeded.", SigningAnswerSchema),
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
        errors.RegistryDeniedError,
    ),
)
def create(call: Call) -> Response:
    body = call.json()
    wanted: WantedAttestations = call.load(body)
    attest = call.operations.attest
    items = attest(
        call.caller,
        wanted.request,
        idempotency_key=idempotency_key(),
        body_hash=body_hash(body),
    )
    artifact = None if wanted.request.attach else attest.artifact
    return signing_answer(items, artifact, any_failure_fails=wanted.any_failure_fails)
