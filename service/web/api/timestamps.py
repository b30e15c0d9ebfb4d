"""Time stamps (RFC 3161, section 3.4: by HTTP)."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.limits import MAX_TIMESTAMP_QUERY_BYTES
from service.domain.media_types import TIMESTAMP_QUERY, TIMESTAMP_REPLY
from service.domain.serving import ServerRole
from service.web.responses import text
from service.web.routing import Answer, Call, Routes

routes = Routes("timestamps", "Our own time-stamping authority.", role=ServerRole.SIGN)


@routes.add(
    "POST",
    "/v1/timestamps",
    summary="Stamp a hash with the time (RFC 3161)",
    public=True,
    raw_body=TIMESTAMP_QUERY,
    answers={
        200: Answer(
            "A TimeStampResp: the token, or why the query is rejected.", {TIMESTAMP_REPLY: None}
        )
    },
    errors=(
        errors.UnsupportedMediaTypeError,
        errors.BodyTooLargeError,
        errors.TimestampKeyMissingError,
        errors.HSMUnavailableError,
        errors.StoreUnavailableError,
    ),
)
def stamp(call: Call) -> Response:
    query = call.raw(most=MAX_TIMESTAMP_QUERY_BYTES)
    return text(call.operations.timestamps.reply(query), TIMESTAMP_REPLY)
