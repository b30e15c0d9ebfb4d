"""Findings, for auditors, custodians and admins."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web import dump
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.fields import page_request
from service.web.schemas.findings import FindingPageSchema, FindingQuery, wanted_findings

routes = Routes("findings", "What somebody must look at.", role=ServerRole.MANAGE)


@routes.add(
    "GET",
    "/v1/findings",
    summary="List findings, newest first (roles auditor, custodian, admin)",
    query=FindingQuery,
    answers={200: in_json("A page of findings.", FindingPageSchema)},
    errors=(errors.ForbiddenError, errors.InvalidRequestError),
)
def list_findings(call: Call) -> Response:
    query = call.query()
    found = call.operations.findings.list(call.caller, wanted_findings(query), page_request(query))
    return answer(dump.page(found, dump.finding))
