"""The quorum rules in force, how the policy file compares, and the way to looser ones."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.quorum import QuorumRules, rules_to_json
from service.domain.serving import ServerRole
from service.operations.quorum import QuorumStatus
from service.web.answers import PENDING, performed_or_pending
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.policy import QuorumRulesSchema, QuorumStatusSchema

routes = Routes("policy", "The rules that several people guard.", role=ServerRole.MANAGE)


@routes.add(
    "GET",
    "/v1/policy/quorum",
    summary="Show the quorum rules in force and those of the policy file (custodian, auditor, admin)",
    answers={200: in_json("Both, and where the file is looser.", QuorumStatusSchema)},
    errors=(errors.ForbiddenError,),
)
def show_quorum(call: Call) -> Response:
    return answer(_status(call.operations.quorum.show(call.caller)))


@routes.add(
    "POST",
    "/v1/policy/quorum/loosening",
    summary="Ask for the policy file's looser quorum rules (roles custodian, admin)",
    answers={200: in_json("The rules that are now in force.", QuorumRulesSchema), **PENDING},
    errors=(errors.ForbiddenError, errors.NothingToLoosenError),
)
def loosen_quorum(call: Call) -> Response:
    return performed_or_pending(call.operations.quorum.loosen(call.caller), _rules)


def _status(found: QuorumStatus) -> JSONObject:
    return {
        "in_force": _rules(found.in_force),
        "file": _rules(found.file),
        "guard": found.guard,
        "looser": found.looser,
        "custodians": found.custodians,
        "short": found.short,
        "without_spare": found.without_spare,
    }


def _rules(rules: QuorumRules) -> JSONObject:
    return dict(rules_to_json(rules))
