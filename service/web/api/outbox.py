"""The durable orders of the outbox, for operators."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web import dump
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.fields import page_request
from service.web.schemas.outbox import OrderPageSchema, OrderQuery, RetriedSchema

routes = Routes("outbox", "What must still happen outside the store.", role=ServerRole.MANAGE)


@routes.add(
    "GET",
    "/v1/outbox",
    summary="List orders",
    query=OrderQuery,
    answers={200: in_json("A page of orders.", OrderPageSchema)},
    errors=(errors.InvalidRequestError, errors.ForbiddenError),
)
def list_orders(call: Call) -> Response:
    query = call.query()
    found = call.operations.records.orders(call.caller, query.get("state"), page_request(query))
    return answer(dump.page(found, dump.order))


@routes.add(
    "POST",
    "/v1/outbox/retry",
    summary="Make every parked order due at once",
    answers={200: in_json("How many there were.", RetriedSchema)},
    errors=(errors.ForbiddenError,),
)
def retry_parked(call: Call) -> Response:
    return answer({"retried": call.operations.records.retry_parked(call.caller)})
