"""The maintenance switch: signing answers 503 while it is on, and all else goes on."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.clock import rfc3339
from service.domain.serving import ServerRole
from service.domain.switches import Switch
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.maintenance import MaintenanceSchema, TurnMaintenanceSchema

routes = Routes(
    "maintenance", "Stop signing for a while, in every process.", role=ServerRole.MANAGE
)


@routes.add(
    "GET",
    "/v1/maintenance",
    summary="Whether signing is stopped",
    answers={200: in_json("The switch.", MaintenanceSchema)},
)
def show_maintenance(call: Call) -> Response:
    return answer(_shown(call.operations.maintenance.show()))


@routes.add(
    "PUT",
    "/v1/maintenance",
    summary="Stop signing, or let it go on (role admin)",
    body=TurnMaintenanceSchema,
    answers={200: in_json("The switch as it is now.", MaintenanceSchema)},
    errors=(errors.ForbiddenError,),
)
def turn_maintenance(call: Call) -> Response:
    body = call.body()
    turned = call.operations.maintenance.turn(call.caller, on=body["on"], reason=body.get("reason"))
    return answer(_shown(turned))


def _shown(found: Switch) -> JSONObject:
    return {
        "on": found.is_on,
        "reason": found.reason,
        "actor": found.actor,
        "at": None if found.at is None else rfc3339(found.at),
    }
