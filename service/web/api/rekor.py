"""Rekor's own write calls, so that stock cosign can write into our log (public, rate-limited).

v1 answers with an `ETag`: cosign 3 takes the entry's name from there, and crashes without it. Its
refusals have the form of Rekor's own (`code` is the status there) for clients that ask for JSON and
for no problem document: they could show nothing of one.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from flask import Response, after_this_request, request

from service.domain import errors
from service.domain.serving import ServerRole
from service.translog.logged import rekor_answer, transparency_log_entry
from service.web.bodies import parse_object, read_raw
from service.web.context import address
from service.web.problems import PROBLEM_TYPE
from service.web.responses import JSON, answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.rekor import (
    EntriesSchema,
    ProposedEntrySchema,
    ProposedEntryV2Schema,
    TransparencyLogEntrySchema,
)

routes = Routes(
    "rekor",
    "Rekor's write calls, for cosign and other signers of an organisation.",
    role=ServerRole.SIGN,
)

MAX_ENTRY_REQUEST_BYTES: Final = 1024 * 1024
_ERRORS: Final = (
    errors.InvalidRequestError,
    errors.ForbiddenError,
    errors.RateLimitedError,
    errors.BodyTooLargeError,
    errors.LogUnavailableError,
)


def _body(call: Call) -> dict[str, Any]:
    call.operations.rates.write_from(address())
    return parse_object(read_raw(request, "application/json", most=MAX_ENTRY_REQUEST_BYTES))


def _as_rekor_refuses(response: Response) -> Response:
    """Give a problem the form `{"code": 403, "message": "…"}` (`Error` of Rekor's openapi.yaml)."""
    accepted = request.accept_mimetypes
    if response.mimetype == PROBLEM_TYPE and accepted[JSON] and not accepted[PROBLEM_TYPE]:
        problem = orjson.loads(response.get_data())
        message = f"{problem['title']}: {problem['detail']} ({problem['code']})"
        body = {**problem, "code": problem["status"], "message": message}
        response.set_data(orjson.dumps(body))
        response.content_type = JSON
    return response


@routes.add(
    "POST",
    "/api/v1/log/entries",
    summary="Log an entry of Rekor v1 by a key that the trust policy names",
    public=True,
    body=ProposedEntrySchema,
    answers={201: in_json("The entry by its UUID, with proof and promise.", EntriesSchema)},
    errors=_ERRORS,
)
def create_v1(call: Call) -> Response:
    after_this_request(_as_rekor_refuses)
    shown = rekor_answer(call.operations.take_entries.v1(_body(call)))
    (uuid,) = shown
    headers = {"ETag": uuid, "Location": f"/api/v1/log/entries/{uuid}"}
    return answer(shown, 201, headers=headers)


@routes.add(
    "POST",
    "/api/v2/log/entries",
    summary="Log an entry of Rekor v2 by a key that the trust policy names",
    public=True,
    body=ProposedEntryV2Schema,
    answers={201: in_json("The entry with its proof.", TransparencyLogEntrySchema)},
    errors=_ERRORS,
)
def create_v2(call: Call) -> Response:
    return answer(transparency_log_entry(call.operations.take_entries.v2(_body(call))), 201)
