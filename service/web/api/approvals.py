"""Approvals of what others ask for. Deciding is for custodians; auditors and admins may look."""

from __future__ import annotations

from typing import Final

from flask import Response

from service.domain import errors
from service.domain.serving import ServerRole
from service.web import dump, dump_approvals
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.approvals import (
    ApprovalPageSchema,
    ApprovalQuery,
    ApprovalSchema,
    VoteRequestSchema,
    WantedVote,
)
from service.web.schemas.fields import page_request

routes = Routes(
    "approvals", "What several people must want before it is done.", role=ServerRole.MANAGE
)

_REFUSALS: Final = (
    errors.ForbiddenError,
    errors.NotFoundError,
    errors.ApprovalNotPendingError,
    errors.ApprovalSignatureInvalidError,
    errors.SSHKeyMissingError,
    errors.InvalidRequestError,
)


@routes.add(
    "GET",
    "/v1/approvals",
    summary="List approvals, newest first (roles custodian, auditor, admin)",
    query=ApprovalQuery,
    answers={200: in_json("A page of approvals.", ApprovalPageSchema)},
    errors=(errors.ForbiddenError, errors.InvalidRequestError),
)
def list_approvals(call: Call) -> Response:
    query = call.query()
    found = call.operations.approvals.list(
        call.caller, page_request(query), state=query.get("state"), key=query.get("key")
    )
    return answer(dump.page(found, dump_approvals.approval))


@routes.add(
    "GET",
    "/v1/approvals/<approval>",
    summary="Show an approval (roles custodian, auditor, admin)",
    answers={200: in_json("The approval.", ApprovalSchema)},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def show_approval(call: Call, approval: str) -> Response:
    return answer(dump_approvals.approval(call.operations.approvals.get(call.caller, approval)))


@routes.add(
    "POST",
    "/v1/approvals/<approval>/approve",
    summary="Approve; the last approval performs the act within this request (role custodian)",
    body=VoteRequestSchema,
    body_required=False,
    answers={200: in_json("The approval, `executed` if this was the last.", ApprovalSchema)},
    errors=(
        *_REFUSALS,
        errors.AlreadyApprovedError,
        errors.ApprovalStaleError,
        errors.ApproverInvalidError,
        errors.ApprovalSignatureRequiredError,
    ),
)
def approve(call: Call, approval: str) -> Response:
    wanted: WantedVote = call.body()
    found = call.operations.approvals.approve(
        call.caller, approval, signature=wanted.signature, reason=wanted.reason
    )
    return answer(dump_approvals.approval(found))


@routes.add(
    "POST",
    "/v1/approvals/<approval>/reject",
    summary="Reject, which ends it (role custodian)",
    body=VoteRequestSchema,
    body_required=False,
    answers={200: in_json("The approval as rejected.", ApprovalSchema)},
    errors=_REFUSALS,
)
def reject(call: Call, approval: str) -> Response:
    wanted: WantedVote = call.body()
    found = call.operations.approvals.reject(
        call.caller, approval, signature=wanted.signature, reason=wanted.reason
    )
    return answer(dump_approvals.approval(found))
