"""Liveness and readiness (public)."""

from __future__ import annotations

from flask import Response, current_app

from service.domain import errors
from service.web.problems import RETRY_SECONDS
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.health import AliveSchema, ReadinessQuery, ReadinessSchema

routes = Routes("health", "Whether the service lives, and whether it can work.")


@routes.add(
    "GET",
    "/healthz",
    summary="The process answers",
    public=True,
    answers={200: in_json("It is alive.", AliveSchema)},
)
def alive(call: Call) -> Response:
    return answer({"status": "ok", "version": current_app.config["VERSION"]})


@routes.add(
    "GET",
    "/readyz",
    summary="Whether one kind of work can be done now",
    public=True,
    query=ReadinessQuery,
    answers={
        200: in_json("It can.", ReadinessSchema),
        503: in_json("It cannot; `parts` says why.", ReadinessSchema),
    },
    errors=(errors.InvalidRequestError,),
)
def ready(call: Call) -> Response:
    work = call.query()["work"]
    found = call.operations.readiness.check(work)
    body = {
        "ready": found.ready,
        "for": work,
        "parts": [
            {
                "name": p.name,
                "ready": p.ready,
                "needed": p.needed,
                "code": p.code,
                "detail": p.detail,
            }
            for p in found.parts
        ],
        "tokens": [
            {
                "token": t.token,
                "state": t.state,
                "detail": None if t.error is None else str(t.error),
            }
            for t in found.tokens
        ],
        "warnings": [
            {"code": w.code, "subject": w.subject, "detail": w.detail}
            for w in call.operations.readiness.warnings()
        ],
    }
    if found.ready:
        return answer(body)
    return answer(body, 503, headers={"Retry-After": str(RETRY_SECONDS)})
