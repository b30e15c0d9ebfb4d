"""Certificates of keys: asked for, imported, made by our own CA (role custodian), and shown."""

from __future__ import annotations

from typing import Final

from flask import Response, request

from service.domain import errors
from service.domain.certificates import pem
from service.domain.keys import KeyVersion
from service.domain.serving import EVERY_ROLE, ServerRole
from service.operations.certify_version import ChainImport, SelfSigning
from service.web import dump
from service.web.answers import PENDING, performed_or_pending
from service.web.responses import JSON, answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.certificates import (
    ChainQuery,
    ChainSchema,
    CSRSchema,
    RequestSchema,
    SelfSignSchema,
)
from service.web.schemas.keys import KeyVersionSchema

routes = Routes(
    "certificates",
    "Certificates of keys, for the Notary Project and timestamps.",
    role=ServerRole.MANAGE,
)

PKCS10: Final = "application/pkcs10"  # RFC 5967: DER
PEM_CHAIN: Final = "application/pem-certificate-chain"  # RFC 8555, 9.1
_PLACE: Final = {"country": "C", "state": "ST", "organization": "O"}


def _shown(version: KeyVersion) -> dump.JSONObject:
    return dump.key_version(version, with_custody=True)


def _accepted(*offered: str) -> str:
    """Return the media type that Accept prefers; the first where it does not say.

    Raises:
        NotAcceptableError: it names none that we can make.
    """
    if not request.accept_mimetypes:
        return offered[0]
    best = request.accept_mimetypes.best_match(list(offered))
    if best is None:
        raise errors.NotAcceptableError(f"this call answers as {' or '.join(offered)}")
    return best


@routes.add(
    "POST",
    "/v1/keys/<name>/versions/<int:number>/csr",
    summary="Ask for a certificate: a PKCS#10 request signed by the key (role custodian)",
    body=RequestSchema,
    headers={"Accept": f"`{JSON}` (default, PEM inside) or `{PKCS10}` (DER)."},
    answers={200: Answer("The request, for a CA.", {JSON: CSRSchema, PKCS10: None})},
    errors=(
        errors.ForbiddenError,
        errors.KeyNotFoundError,
        errors.KeyNotUsableError,
        errors.InvalidRequestError,
        errors.NotAcceptableError,
        errors.HSMUnavailableError,
    ),
)
def request_certificate(call: Call, name: str, number: int) -> Response:
    wanted = _accepted(JSON, PKCS10)
    subject = call.body()["subject"]
    made = call.operations.certificates.request(call.caller, name, number, subject)
    if wanted == PKCS10:
        return text(made, PKCS10)
    return answer({"csr": pem("CERTIFICATE REQUEST", made)})


@routes.add(
    "PUT",
    "/v1/keys/<name>/versions/<int:number>/certificate-chain",
    summary="Import the chain that a CA issued for a version (role custodian)",
    body=ChainSchema,
    answers={200: in_json("The version with its chain.", KeyVersionSchema), **PENDING},
    errors=(
        errors.ForbiddenError,
        errors.KeyNotFoundError,
        errors.KeyNotUsableError,
        errors.InvalidRequestError,
        errors.CertificateChainRefusedError,
        errors.CertificateSubjectTakenError,
    ),
)
def import_chain(call: Call, name: str, number: int) -> Response:
    wanted = ChainImport(name, number, call.body()["certificates"])
    return performed_or_pending(call.operations.certificates.install(call.caller, wanted), _shown)


@routes.add(
    "POST",
    "/v1/keys/<name>/self-sign",
    summary="Certify a version by our own CA, for those who have none (role custodian)",
    body=SelfSignSchema,
    answers={200: in_json("The version with its chain.", KeyVersionSchema), **PENDING},
    errors=(
        errors.ForbiddenError,
        errors.KeyNotFoundError,
        errors.KeyNotUsableError,
        errors.InvalidRequestError,
        errors.UnsupportedAlgorithmError,
        errors.CertificateAuthorityNotUsableError,
        errors.CertificateSubjectTakenError,
        errors.TokenNotFoundError,
        errors.HSMUnavailableError,
        errors.BusyError,
    ),
)
def self_sign(call: Call, name: str) -> Response:
    body = call.body()
    certificates = call.operations.certificates
    wanted = SelfSigning(
        name,
        body["version"] if "version" in body else certificates.active_version(name),
        {_PLACE[field]: body[field] for field in _PLACE if field in body},
        body["days"],
        lone=body["lone"],
    )
    made = certificates.self_sign(call.caller, wanted, token=body.get("token"))
    return performed_or_pending(made, _shown)


@routes.add(
    "GET",
    "/v1/keys/<name>/certificate-chain",
    summary="The certificate chain, leaf first",
    roles=EVERY_ROLE,  # as the public keys
    public=True,
    query=ChainQuery,
    headers={"Accept": f"`{PEM_CHAIN}`."},
    answers={
        200: Answer(
            "Of the newest active version, or the one asked for: leaf first, root last.",
            {PEM_CHAIN: None},
        )
    },
    errors=(
        errors.KeyNotFoundError,
        errors.CertificateNotFoundError,
        errors.KeyNotUsableError,
        errors.NotAcceptableError,
        errors.InvalidRequestError,
    ),
)
def show_chain(call: Call, name: str) -> Response:
    _accepted(PEM_CHAIN)
    chain = call.operations.certificates.chain(name, call.query().get("version"))
    return text(chain.pem(), PEM_CHAIN, headers={"Cache-Control": "no-cache"})
