"""Answers that several resources give."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from flask import Response

from service.domain.acts import Performed
from service.domain.approvals import Approval
from service.web import dump_approvals
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import in_json
from service.web.schemas.approvals import ApprovalSchema

PENDING: Final = MappingProxyType(
    {202: in_json("Policy asks for a quorum: others must approve it first.", ApprovalSchema)}
)
"""To be declared, beside its success, by every endpoint that requests an act of custody."""


def performed_or_pending(
    outcome: Performed | Approval, show: Callable[[Any], JSONObject], *, status: int = 200
) -> Response:
    """Return what an act has led to, as `show` shows it, or 202 and the approval it waits for."""
    match outcome:
        case Approval():
            return answer(dump_approvals.approval(outcome), 202)
        case Performed(value):
            return answer(show(value), status)
