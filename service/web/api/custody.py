"""What custodians do with keys: make, rotate, move, adopt."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.acts import Performed
from service.domain.keys import Key, KeyVersion
from service.domain.lifecycle import Move
from service.domain.serving import ServerRole
from service.operations.generate_key import Generation
from service.web import dump
from service.web.answers import PENDING, performed_or_pending
from service.web.routing import Call, Routes, in_json
from service.web.schemas.custody import (
    AdoptionSchema,
    NewKeySchema,
    NewStateSchema,
    NewVersionSchema,
    adoption,
)
from service.web.schemas.keys import KeySchema, KeyVersionSchema

routes = Routes("custody", "The life of keys (role custodian).", role=ServerRole.MANAGE)


def _shown(made: Key | KeyVersion) -> dump.JSONObject:
    if isinstance(made, Key):
        return dump.key(made, with_custody=True)
    return dump.key_version(made, with_custody=True)


@routes.add(
    "POST",
    "/v1/keys",
    summary="Make a key on a token (role custodian)",
    body=NewKeySchema,
    answers={201: in_json("The key and its first version.", KeySchema), **PENDING},
    errors=(
        errors.ForbiddenError,
        errors.KeyExistsError,
        errors.InvalidRequestError,
        errors.UnsupportedAlgorithmError,
        errors.KeyUnprotectedError,
        errors.TokenNotFoundError,
        errors.HSMUnavailableError,
        errors.BusyError,
    ),
)
def create_key(call: Call) -> Response:
    wanted: Generation = call.body()
    made = call.operations.custody.generate(call.caller, wanted)
    return performed_or_pending(made, _shown, status=201)


@routes.add(
    "POST",
    "/v1/keys/<name>/versions",
    summary="Rotate: make a new version, which takes the active one's place (role custodian)",
    body=NewVersionSchema,
    body_required=False,
    answers={201: in_json("The new version.", KeyVersionSchema), **PENDING},
    errors=(
        errors.ForbiddenError,
        errors.KeyNotFoundError,
        errors.InvalidRequestError,
        errors.UnsupportedAlgorithmError,
        errors.KeyUnprotectedError,
        errors.TokenNotFoundError,
        errors.HSMUnavailableError,
        errors.BusyError,
    ),
)
def rotate_key(call: Call, name: str) -> Response:
    body = call.body()
    wanted = Generation(
        name,
        None,
        body.get("algorithm"),
        body.get("token"),
        body["state"],
        alongside=body["alongside"],
    )
    made = call.operations.custody.generate(call.caller, wanted)
    return performed_or_pending(made, _shown, status=201)


@routes.add(
    "POST",
    "/v1/keys/<name>/versions/<int:number>/state",
    summary="Move a version to another state (role custodian)",
    body=NewStateSchema,
    answers={200: in_json("The version as it is now.", KeyVersionSchema), **PENDING},
    errors=(
        errors.ForbiddenError,
        errors.KeyNotFoundError,
        errors.KeyMoveForbiddenError,
        errors.InvalidRequestError,
        errors.HSMUnavailableError,
        errors.BusyError,
    ),
)
def change_state(call: Call, name: str, number: int) -> Response:
    body = call.body()
    move = Move(
        name,
        number,
        body["state"],
        reason=body.get("reason"),
        since=body.get("since"),
        alongside=body.get("alongside"),
    )
    return performed_or_pending(call.operations.custody.move(call.caller, move), _shown)


@routes.add(
    "POST",
    "/v1/keys/<name>/adopt",
    summary="Adopt a key that lies on a token (role custodian)",
    body=AdoptionSchema,
    answers={
        200: in_json("The version that the token holds too, with its locations.", KeyVersionSchema),
        201: in_json(
            "The new key, or the new version of the key that exists.", KeySchema, KeyVersionSchema
        ),
        **PENDING,
    },
    errors=(
        errors.ForbiddenError,
        errors.PolicyDeniedError,
        errors.InvalidRequestError,
        errors.PublicKeyTakenError,
        errors.KeyNotUsableError,
        errors.KeyNotAdoptableError,
        errors.KeyUnprotectedError,
        errors.UnsupportedAlgorithmError,
        errors.TokenNotFoundError,
        errors.HSMUnavailableError,
        errors.BusyError,
    ),
)
def adopt_key(call: Call, name: str) -> Response:
    adopted = call.operations.custody.adopt(call.caller, adoption(name, call.body()))
    place = isinstance(adopted, Performed) and adopted.summary["adopted"] == "location"
    return performed_or_pending(adopted, _shown, status=200 if place else 201)
