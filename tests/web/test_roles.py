"""A process serves the calls of its roles, and says of the others who serves them."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.errors import HSMUnavailableError
from service.domain.serving import EVERY_ROLE, ServerRole
from service.web import create_app
from service.web.api import RESOURCES
from service.web.routing import Endpoint
from tests.support.edge import IMAGE
from tests.support.operations import World

ENDPOINTS = [endpoint for routes in RESOURCES for endpoint in routes.endpoints]
REACH_NO_HSM = {
    *("/v1/verifications", "/v1/withdrawals", "/lookaside/<path:place>"),
    "/extensions/v2/<path:name>/signatures/<digest>",
}


def of_role(world: World, *roles: ServerRole) -> FlaskClient:
    return create_app(world.operations, version="1", roles=frozenset(roles)).test_client()


def url(endpoint: Endpoint) -> str:
    return re.sub(r"<int:\w+>", "1", re.sub(r"<(?:path:)?\w+>", "release", endpoint.path))


@pytest.mark.parametrize("role", ServerRole)
def test_each_call_is_served_by_its_roles_alone(world: World, role: ServerRole) -> None:
    web = of_role(world, role)
    for endpoint in ENDPOINTS:
        # Without a credential, which nothing looks at where the call is not served.
        answer = web.open(url(endpoint), method=endpoint.method)
        is_served = answer.status_code != 421
        assert is_served == (role in endpoint.roles), endpoint
        if not is_served:
            (told,) = endpoint.roles
            assert answer.json["code"] == "not-served-here"
            assert f"role {told}; this one has {role}" in answer.json["detail"]
            assert answer.json["retryable"] is False


def test_verification_and_what_verifiers_read_is_what_needs_no_hsm() -> None:
    verify = {each.path for each in ENDPOINTS if each.roles == {ServerRole.VERIFY}}
    others = {path for path in verify if not path.startswith(("/v1/log/", "/v1/trust/"))}
    assert others == REACH_NO_HSM


def test_public_keys_health_and_explanations_are_served_by_all() -> None:
    everywhere = {each.path for each in ENDPOINTS if each.roles == EVERY_ROLE}
    shared = ("/healthz", "/readyz", "/metrics", "/problems/", "/openapi.json", "/docs", "/v1/keys")
    assert all(path.startswith((*shared, "/.well-known/jwks.json")) for path in everywhere)
    assert {"/v1/keys/<name>/public-key", "/v1/keys/<name>/certificate-chain"} <= everywhere


def test_a_process_of_several_roles_serves_the_calls_of_each(world: World) -> None:
    web = of_role(world, ServerRole.SIGN, ServerRole.VERIFY)
    builder = world.authorization(Role.BUILDER)
    body = {"images": [{"reference": IMAGE}]}
    assert web.post("/v1/signatures", json=body, headers=builder).status_code == 201
    assert web.post("/v1/verifications", json=body, headers=builder).status_code == 200
    custody = web.post("/v1/keys", json={}, headers=world.authorization(Role.CUSTODIAN))
    assert (custody.status_code, custody.json["code"]) == (421, "not-served-here")
    assert "the role manage; this one has sign, verify" in custody.json["detail"]


@pytest.mark.parametrize("role", ServerRole)
def test_a_process_is_ready_for_the_work_of_its_roles_alone(world: World, role: ServerRole) -> None:
    readiness = replace(world.operations.readiness, roles=frozenset({role}))
    world.operations = replace(world.operations, readiness=readiness)
    web = of_role(world, role)
    for work in (*ServerRole, "gate"):
        answer = web.get(f"/readyz?for={work}")
        is_ours = (ServerRole.VERIFY if work == "gate" else work) is role
        assert answer.status_code == (200 if is_ours else 503)
        unready = [part["name"] for part in answer.json["parts"] if not part["ready"]]
        assert unready == ([] if is_ours else ["role"])


def test_only_signing_needs_the_hsm_to_be_ready(world: World) -> None:
    world.tokens.fault = HSMUnavailableError("the token is away")
    web = of_role(world, *ServerRole)
    ready = {work for work in ServerRole if web.get(f"/readyz?for={work}").status_code == 200}
    assert ready == EVERY_ROLE - {ServerRole.SIGN}
