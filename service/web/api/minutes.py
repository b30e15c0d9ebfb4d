"""Minutes of a key's custody (roles custodian and auditor)."""

from __future__ import annotations

from base64 import b64encode

import orjson
from flask import Response

from service.domain import errors
from service.domain.clock import rfc3339
from service.domain.quorum import rules_to_json
from service.domain.serving import ServerRole
from service.operations.minutes import Minutes
from service.ports.minutes import RecordedEvent
from service.web import dump, dump_approvals
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.minutes import MinutesSchema

routes = Routes("minutes", "Who did what with a key, and who wanted it.", role=ServerRole.MANAGE)


@routes.add(
    "GET",
    "/v1/minutes/<key>",
    summary="Everything on record about a key's custody (roles custodian, auditor)",
    answers={200: in_json("The minutes.", MinutesSchema)},
    errors=(errors.ForbiddenError, errors.KeyNotFoundError),
)
def take_minutes(call: Call, key: str) -> Response:
    return answer(_minutes(call.operations.minutes(call.caller, key)))


def _minutes(taken: Minutes) -> JSONObject:
    return {
        "made_at": rfc3339(taken.made_at),
        "key": dump.key(taken.key, with_custody=True),
        "quorum": dict(rules_to_json(taken.rules)),
        "participants": [dump_approvals.participant(who) for who in taken.participants],
        "approvals": [dump_approvals.approval(approval) for approval in taken.approvals],
        "events": [_event(event) for event in taken.events],
    }


def _event(event: RecordedEvent) -> JSONObject:
    body = orjson.loads(event.body)
    return {
        "sequence": event.sequence,
        "index": event.index,
        "at": body["at"],
        "action": body["action"],
        "actor": body["actor"],
        "subject": body["subject"],
        "details": body["details"],
        "body": b64encode(event.body).decode(),
    }
