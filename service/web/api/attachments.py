"""Whether signatures lie at their registries."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web import dump
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.fields import page_request
from service.web.schemas.outbox import (
    AttachmentPageSchema,
    AttachmentQuery,
    AttachmentStatusSchema,
)
from service.web.schemas.signing import wanted_records

routes = Routes("attachments", "Whether signatures lie at their registries.", role=ServerRole.SIGN)


@routes.add(
    "GET",
    "/v1/attachments",
    summary="List attachments",
    query=AttachmentQuery,
    answers={200: in_json("A page of attachments.", AttachmentPageSchema)},
    errors=(errors.InvalidRequestError, errors.ForbiddenError),
)
def list_attachments(call: Call) -> Response:
    query = call.query()
    found = call.operations.records.attachments(
        call.caller, query.get("state"), wanted_records(query), page_request(query)
    )
    return answer(dump.page(found, dump.attachment))


@routes.add(
    "POST",
    "/v1/attachments/<attachment_id>/retry",
    summary="Try a parked or waiting attachment now",
    answers={200: in_json("The attachment, due at once.", AttachmentStatusSchema)},
    errors=(errors.NotFoundError, errors.ForbiddenError),
)
def retry_attachment(call: Call, attachment_id: str) -> Response:
    return answer(
        dump.attachment(call.operations.records.retry_attachment(call.caller, attachment_id))
    )
