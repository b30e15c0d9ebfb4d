"""The log of audit events, in the same form as that of signatures (role auditor)."""

from __future__ import annotations

from typing import Final

from flask import Response, current_app

from service.domain import errors
from service.domain.log import LogName
from service.domain.serving import ServerRole
from service.web import dump, dump_log
from service.web.api.log import BINARY, PLAIN
from service.web.collectors import cef_line, syslog_line
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.audit import AuditQuery, LoggedEventPageSchema, wanted_events
from service.web.schemas.fields import page_request
from service.web.schemas.log import (
    ConsistencyQuery,
    ConsistencySchema,
    InclusionQuery,
    InclusionSchema,
)

routes = Routes(
    "audit", "Every decision and every deed, in a log (role auditor).", role=ServerRole.MANAGE
)

LOG: Final = LogName.AUDIT
NDJSON: Final = "application/x-ndjson"
NEXT_CURSOR: Final = "X-Next-Cursor"
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
    "/v1/audit-log/trees/<name>/checkpoint",
    summary="The last checkpoint of the audit log that has or had this name (role auditor)",
    answers={200: Answer("The checkpoint.", {PLAIN: None})},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def show_checkpoint_of(call: Call, name: str) -> Response:
    return text(call.operations.audit_log(call.caller).checkpoint(LOG, name=name), PLAIN)


@routes.add(
    "GET",
    "/v1/audit-log/trees/<name>/tile/<path:tile>",
    summary="A tile of the audit log that has or had this name (role auditor)",
    answers={200: Answer("The tile; it never changes.", {BINARY: None})},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def show_tile_of(call: Call, name: str, tile: str) -> Response:
    content = call.operations.audit_log(call.caller).tile(LOG, f"tile/{tile}", name=name)
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


@routes.add(
    "GET",
    "/v1/audit-events",
    summary="Search the audit log, newest first (role auditor)",
    query=AuditQuery,
    answers={
        200: Answer(
            "A page of events.",
            {"application/json": LoggedEventPageSchema, NDJSON: None, PLAIN: None},
        )
    },
    errors=(errors.ForbiddenError, errors.InvalidRequestError),
)
def search_events(call: Call) -> Response:
    query = call.query()
    found = call.operations.audit_search(call.caller, wanted_events(query), page_request(query))
    if query["format"] == "json":
        return answer(dump.page(found, dump_log.event))
    headers = {} if found.next is None else {NEXT_CURSOR: found.next}
    if query["format"] == "jsonl":
        return text(b"".join(event.body + b"\n" for event in found.items), NDJSON, headers=headers)
    version = current_app.config["VERSION"]
    line = syslog_line if query["format"] == "syslog" else cef_line
    lines = "".join(line(event, version=version) + "\n" for event in found.items)
    return text(lines, PLAIN, headers=headers)
