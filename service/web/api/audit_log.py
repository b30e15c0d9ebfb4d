"""The log of audit events, in the same form as that of signatures (role auditor)."""

from __future__ import annotations

from typing import Final

from flask import Response

from service.domain import errors
from service.domain.log import LogName
from service.web import dump_log
from service.web.api.log import BINARY, PLAIN
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.log import (
    ConsistencyQuery,
    ConsistencySchema,
    InclusionQuery,
    InclusionSchema,
)

routes = Routes("audit", "Every decision and every deed, in a log (role auditor).")

LOG: Final = LogName.AUDIT
FOR_EVER: Final = {"Cache-Control": "private, max-age=31536000, immutable"}


@routes.add(
    "GET",
    "/v1/audit-log/checkpoint",
    summary="The newest checkpoint of the audit log (role auditor)",
    answers={200: Answer("The checkpoint.", {PLAIN: None})},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def show_checkpoint(call: Call) -> Response:
    return text(call.operations.audit_log(call.caller).checkpoint(LOG), PLAIN)


@routes.add(
    "GET",
    "/v1/audit-log/tile/<path:tile>",
    summary="A tile of hashes, or a bundle of events (role auditor)",
    answers={200: Answer("The tile; it never changes.", {BINARY: None})},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def show_tile(call: Call, tile: str) -> Response:
    content = call.operations.audit_log(call.caller).tile(LOG, f"tile/{tile}")
    return text(content, BINARY, headers=FOR_EVER)


@routes.add(
    "GET",
    "/v1/audit-log/proofs/inclusion",
    summary="Proof that an event is in the tree of a size (role auditor)",
    query=InclusionQuery,
    answers={200: in_json("The proof.", InclusionSchema)},
    errors=(errors.ForbiddenError, errors.NotFoundError, errors.InvalidRequestError),
)
def prove_inclusion(call: Call) -> Response:
    query = call.query()
    log = call.operations.audit_log(call.caller)
    proof = log.inclusion(LOG, index=query["index"], tree_size=query.get("tree_size"))
    return answer(dump_log.inclusion(proof))


@routes.add(
    "GET",
    "/v1/audit-log/proofs/consistency",
    summary="Proof that the tree of one size grew from that of another (role auditor)",
    query=ConsistencyQuery,
    answers={200: in_json("The proof.", ConsistencySchema)},
    errors=(errors.ForbiddenError, errors.NotFoundError, errors.InvalidRequestError),
)
def prove_consistency(call: Call) -> Response:
    query = call.query()
    log = call.operations.audit_log(call.caller)
    return answer(
        dump_log.consistency(log.consistency(LOG, old=query["old"], new=query.get("new")))
    )
