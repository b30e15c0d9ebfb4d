"""Slots and tokens, for custodians."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web import dump
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.slots import MechanismPageSchema, SlotPageSchema, SlotSchema

routes = Routes("slots", "Slots of the HSM and their tokens.", role=ServerRole.MANAGE)


@routes.add(
    "GET",
    "/v1/slots",
    summary="List slots, initialised ones first (role custodian)",
    answers={200: in_json("Every slot; there is no further page.", SlotPageSchema)},
    errors=(errors.ForbiddenError,),
)
def list_slots(call: Call) -> Response:
    found = call.operations.slots.list(call.caller)
    return answer({"items": [dump.slot(status) for status in found], "next": None})


@routes.add(
    "GET",
    "/v1/slots/<token>/mechanisms",
    summary="List what a token can do, by its label or name (role custodian)",
    answers={200: in_json("Every mechanism; there is no further page.", MechanismPageSchema)},
    errors=(errors.ForbiddenError, errors.TokenNotFoundError, errors.HSMUnavailableError),
)
def list_mechanisms(call: Call, token: str) -> Response:
    found = call.operations.slots.mechanisms(call.caller, token)
    return answer({"items": [dump.mechanism(each) for each in found], "next": None})


@routes.add(
    "POST",
    "/v1/slots/<token>/login",
    summary="Clear a latched PIN and try it exactly once (role custodian)",
    answers={200: in_json("The slot as it is after the try.", SlotSchema)},
    errors=(errors.ForbiddenError, errors.TokenNotFoundError),
)
def login(call: Call, token: str) -> Response:
    return answer(dump.slot(call.operations.slots.login(call.caller, token)))
