"""Ready files for verifiers' own tools (public)."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final

from flask import Response, request

from service.domain import errors
from service.domain.serving import ServerRole
from service.domain.withdrawals import published
from service.web.responses import answer, text
from service.web.routing import Answer, Call, Routes, in_json
from service.web.schemas.trust import (
    ClusterPolicySchema,
    ContainersPolicySchema,
    NotationPolicySchema,
    TrustedRootSchema,
    TrustExportQuery,
    TrustExportSchema,
    TrustQuery,
)
from service.web.schemas.withdrawals import WithdrawalListSchema

routes = Routes("trust", "Ready files for verifiers' own tools.", role=ServerRole.VERIFY)

PEM: Final = "application/x-pem-file"
YAML: Final = "application/yaml"  # RFC 9512
_ERRORS: Final = (errors.KeyNotFoundError, errors.KeyNotUsableError, errors.InvalidRequestError)
_WITHDRAWALS: Final = (errors.LogKeyMissingError, errors.HSMUnavailableError, errors.BusyError)
# Long enough to spare us, short enough that a compromise is soon known.
_KEPT: Final = {"Cache-Control": "public, max-age=60"}


@routes.add(
    "GET",
    "/v1/trust/cosign",
    summary="cosign.pub: the newest active version (cosign verify --key)",
    public=True,
    query=TrustQuery,
    answers={200: Answer("The public key.", {PEM: None})},
    errors=_ERRORS,
)
def show_cosign(call: Call) -> Response:
    return text(call.operations.trust_files.cosign(_key(call)), PEM, headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/trusted-root",
    summary="sigstore's trusted root: log and timestamp authorities (cosign --trusted-root)",
    public=True,
    answers={200: in_json("trusted_root.json.", TrustedRootSchema)},
)
def show_trusted_root(call: Call) -> Response:
    return answer(call.operations.trust_files.trusted_root(_own_url()), headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/notation-trust-policy",
    summary="trustpolicy.json of the Notary Project",
    public=True,
    query=TrustQuery,
    answers={200: in_json("trustpolicy.json.", NotationPolicySchema)},
    errors=(*_ERRORS, errors.CertificateNotFoundError),
)
def show_notation(call: Call) -> Response:
    return answer(call.operations.trust_files.notation(_key(call)), headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/containers-policy",
    summary="policy.json of skopeo, podman, buildah and CRI-O",
    public=True,
    query=TrustQuery,
    answers={200: in_json("policy.json.", ContainersPolicySchema)},
    errors=_ERRORS,
)
def show_containers(call: Call) -> Response:
    return answer(call.operations.trust_files.containers(_key(call)), headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/kyverno",
    summary="A ClusterPolicy of Kyverno",
    public=True,
    query=TrustQuery,
    answers={200: Answer("The policy.", {YAML: ClusterPolicySchema})},
    errors=_ERRORS,
)
def show_kyverno(call: Call) -> Response:
    return text(call.operations.trust_files.kyverno(_key(call)), YAML, headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/policy-controller",
    summary="A ClusterImagePolicy of sigstore's policy-controller",
    public=True,
    query=TrustQuery,
    answers={200: Answer("The policy.", {YAML: ClusterPolicySchema})},
    errors=_ERRORS,
)
def show_policy_controller(call: Call) -> Response:
    return text(call.operations.trust_files.policy_controller(_key(call)), YAML, headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/openshift",
    summary="A ClusterImagePolicy of OpenShift: the newest active version",
    public=True,
    query=TrustQuery,
    answers={200: Answer("The policy.", {YAML: ClusterPolicySchema})},
    errors=_ERRORS,
)
def show_openshift(call: Call) -> Response:
    return text(call.operations.trust_files.openshift(_key(call)), YAML, headers=_KEPT)


@routes.add(
    "GET",
    "/v1/trust/withdrawals",
    summary="The signed list of withdrawals, as under /v1/withdrawals",
    public=True,
    answers={200: in_json("The list, and the envelope that signs it.", WithdrawalListSchema)},
    errors=_WITHDRAWALS,
)
def show_withdrawals(call: Call) -> Response:
    body = published(call.operations.withdrawals.current())
    return answer(body, headers={"Cache-Control": "no-cache"})


@routes.add(
    "GET",
    "/v1/trust/export",
    summary="Every file at once, as `sealwright trust export` writes them",
    public=True,
    query=TrustExportQuery,
    answers={200: in_json("The files.", TrustExportSchema)},
    errors=(*_ERRORS, *_WITHDRAWALS),
)
def export(call: Call) -> Response:
    url = call.query().get("url") or _own_url()
    files = call.operations.trust_files.everything(_key(call), url.rstrip("/"))
    shown = [
        {"path": path, "content": b2a_base64(content, newline=False).decode("ascii")}
        for path, content in files.items()
    ]
    return answer({"files": shown}, headers={"Cache-Control": "no-cache"})


def _key(call: Call) -> str | None:
    name = call.query().get("key")
    return None if name is None else str(name)


def _own_url() -> str:
    return request.root_url.rstrip("/")
