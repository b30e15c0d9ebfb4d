"""Credentials, for admins."""

from __future__ import annotations

from flask import Response

from service.domain import errors
from service.domain.approvals import Approval
from service.domain.callers import Credential
from service.domain.serving import ServerRole
from service.web import dump, dump_approvals
from service.web.answers import PENDING, performed_or_pending
from service.web.dump import JSONObject
from service.web.responses import answer
from service.web.routing import Call, Routes, in_json
from service.web.schemas.common import PageQuery
from service.web.schemas.credentials import (
    CredentialChangeSchema,
    CredentialPageSchema,
    CredentialSchema,
    MadeCredentialSchema,
    NewCredentialSchema,
    PendingCredentialSchema,
    WantedCredential,
)
from service.web.schemas.fields import page_request

routes = Routes("credentials", "Who may call, and for what (role admin).", role=ServerRole.MANAGE)


@routes.add(
    "POST",
    "/v1/credentials",
    summary="Make a credential; its token is shown this once (role admin)",
    body=NewCredentialSchema,
    answers={
        201: in_json("The credential and its token.", MadeCredentialSchema),
        202: in_json(
            "A custodian's, where a quorum guards them: others must approve it first.",
            PendingCredentialSchema,
        ),
    },
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
        ssh_public_key=wanted.ssh_public_key,
    )
    if isinstance(made, Approval):
        return answer({**dump_approvals.approval(made), "token": token}, 202)

    def with_token(credential: Credential) -> JSONObject:
        return {**dump.credential(credential), "token": token}

    return performed_or_pending(made, with_token, status=201)


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
    "PATCH",
    "/v1/credentials/<name>",
    summary="Give a credential another person, expiry or SSH key (role admin)",
    body=CredentialChangeSchema,
    answers={200: in_json("The credential as changed.", CredentialSchema), **PENDING},
    errors=(errors.ForbiddenError, errors.NotFoundError, errors.InvalidRequestError),
)
def change_credential(call: Call, name: str) -> Response:
    changed = call.operations.credentials.change(call.caller, name, call.body())
    return performed_or_pending(changed, dump.credential)


@routes.add(
    "DELETE",
    "/v1/credentials/<name>",
    summary="Revoke a credential; it stops working within two seconds (role admin)",
    answers={200: in_json("The credential as revoked.", CredentialSchema)},
    errors=(errors.ForbiddenError, errors.NotFoundError),
)
def revoke_credential(call: Call, name: str) -> Response:
    return answer(dump.credential(call.operations.credentials.revoke(call.caller, name)))
