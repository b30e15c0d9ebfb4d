"""Verifying images at their registries."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web.dump_verdicts import image_verdict
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.verification import (
    VerificationAnswerSchema,
    VerificationRequestSchema,
    WantedVerdicts,
)

routes = Routes(
    "verifications", "Tell whether images are signed by trusted keys.", role=ServerRole.VERIFY
)


@routes.add(
    "POST",
    "/v1/verifications",
    summary="Verify 1 to 100 images",
    body=VerificationRequestSchema,
    answers={200: in_json("A verdict for each image.", VerificationAnswerSchema)},
    errors=(errors.InvalidRequestError, errors.ForbiddenError),
)
def create(call: Call) -> Response:
    wanted: WantedVerdicts = call.body()
    verdicts = call.operations.verify(call.caller, wanted.references, recursive=wanted.recursive)
    return answer({"results": [image_verdict(verdict) for verdict in verdicts]})
