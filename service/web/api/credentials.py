"""Credentials, for admins."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.web import dump
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.common import PageQuery
from service.web.schemas.credentials import (
    CredentialPageSchema,
    CredentialSchema,
    MadeCredentialSchema,
    NewCredentialSchema,
    WantedCredential,
)
from service.web.schemas.fields import page_request

routes = Routes("credentials", "Who may call, and for what (role admin).")


@routes.add(
    "POST",
    "/v1/credentials",
    summary="Make a credential; its token is shown this once (role admin)",
    body=NewCredentialSchema,
    answers={201: in_json("The credential and its token.", MadeCredentialSchema)},
    errors=(errors.ForbiddenError, errors.CredentialExistsError, errors.InvalidRequestError),
)
def create_credential(call: Call) -> Response:
    wanted: WantedCredential = call.body()
    made, token = call.operations.credentials.create(
        call.caller,
        name=wanted.name,
        person=wanted.person,
        role=wanted.role,
        repositories=wanted.repositories,
        keys=wanted.keys,
        rights=wanted.rights,
        expires_at=wanted.expires_at,
    )
    return answer({**dump.credential(made), "token": token}, 201)


@routes.add(
    "GET",
    "/v1/credentials",
    summary="List credentials, revoked ones included (role admin)",
    query=PageQuery,
    answers={200: in_json("A page of credentials.", CredentialPageSchema)},
    errors=(errors.ForbiddenError, errors.InvalidRequestError),
)
def list_credentials(call: Call) -> Response:
    found = call.operations.credentials.list(call.caller, page_request(call.query()))
    return answer(dump.page(found, dump.credential))


@routes.add(
    "DELETE",
    "/v1/credentials/<name>",
    summary="Revoke a credential; it stops working within two seconds (role admin)",
    answers={200: in_json("The credential as revoked.", CredentialSchema)},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def revoke_credential(call: Call, name: str) -> Response:
    return answer(dump.credential(call.operations.credentials.revoke(call.caller, name)))
