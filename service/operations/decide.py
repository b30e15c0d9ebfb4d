"""Turns a decision into the error that the caller gets."""

from __future__ import annotations

from service.domain.callers import Caller
from service.domain.errors import ForbiddenError
from service.policy.decisions import Allow, Decision, Deny
from service.policy.roles import Action, may


def require(decision: Decision) -> None:
    """Raises ForbiddenError with every reason of a denial."""
    match decision:
        case Allow():
            return
        case Deny(reasons):
            raise ForbiddenError(*reasons)


def require_action(caller: Caller, action: Action) -> None:
    require(may(caller, action))
