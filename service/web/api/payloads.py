"""Signatures for plug-ins of other tools, over payloads that those have made."""

from __future__ import annotations

from http import HTTPStatus

from flask import Response

from service.domain import errors
from service.domain.payloads import Encoding, PayloadRequest
from service.domain.serving import ServerRole
from service.web import dump
from service.web.api.signatures import IDEMPOTENCY_KEY, idempotency_key
from service.web.bodies import body_hash
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.payloads import PayloadRequestSchema, PayloadSignatureSchema

routes = Routes(
    "payloads", "For plug-ins of other tools: sign what those have made.", role=ServerRole.SIGN
)


@routes.add(
    "POST",
    "/v1/keys/<name>/payload-signatures",
    summary="Sign what another tool has made of an image's digest",
    body=PayloadRequestSchema,
    headers={IDEMPOTENCY_KEY: "Names the request for 7 days: sent again, it gives the same."},
    answers={201: in_json("The signature, which is on record.", PayloadSignatureSchema)},
    errors=(
        errors.InvalidRequestError,
        errors.ForbiddenError,
        errors.PolicyDeniedError,
        errors.KeyNotFoundError,
        errors.KeyNotUsableError,
        errors.PayloadNotSignableError,
        errors.PredicateNotAllowedError,
        errors.UnsupportedFormatError,
        errors.RegistryNotConfiguredError,
        errors.ImageNotFoundError,
        errors.RequestInProgressError,
        errors.HSMUnavailableError,
        errors.RegistryDeniedError,
    ),
)
def sign(call: Call, name: str) -> Response:
    body = call.json()
    wanted = call.load(body)
    made = call.operations.sign_payload(
        call.caller,
        PayloadRequest(name, Encoding(wanted["encoding"]), wanted["payload"]),
        idempotency_key=idempotency_key(),
        # The key's name is no member of the body, and yet a part of what is asked.
        body_hash=body_hash({"key": name, **body}),
    )
    return answer(dump.signed_payload(made), HTTPStatus.CREATED)
