from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from service.domain.callers import Role
from service.domain.clock import SystemClock
from service.domain.errors import UnauthenticatedError
from service.domain.rates import RateLimit
from service.domain.tokens import new_token
from service.operations import RateLimits
from service.policy.rates import RatePolicy
from service.web import create_app
from tests.support.memory import MemoryBuckets
from tests.support.operations import World

PUBLIC = {
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/<name>",
    "/problems/",
    "/problems/<code>",
    "/.well-known/jwks.json",
    "/v1/keys",
    "/v1/keys/<name>",
    "/v1/keys/<name>/versions/<int:number>",
    "/v1/keys/<name>/certificate-chain",
    "/v1/keys/<name>/public-key",
    "/lookaside/<path:place>",
    "/extensions/v2/<path:name>/signatures/<digest>",
    "/v1/withdrawals",
    "/v1/log/checkpoint",
    "/v1/log/trees/<name>/checkpoint",
    "/v1/log/trees/<name>/tile/<path:tile>",
    "/v1/log/tile/<path:tile>",
    "/v1/log/proofs/inclusion",
    "/v1/log/proofs/consistency",
    "/v1/trust/cosign",
    "/v1/trust/trusted-root",
    "/v1/trust/notation-trust-policy",
    "/v1/trust/containers-policy",
    "/v1/trust/kyverno",
    "/v1/trust/policy-controller",
    "/v1/trust/openshift",
    "/v1/trust/withdrawals",
    "/v1/trust/export",
}

PUBLIC_POSTS = {"/v1/timestamps", "/api/v1/log/entries", "/api/v2/log/entries"}


def url(rule: Rule) -> str:
    return re.sub(r"<int:\w+>", "1", re.sub(r"<(?:path:)?\w+>", "release", rule.rule))


def calls(app: Flask) -> list[tuple[str, Rule]]:
    return [(m, r) for r in app.url_map.iter_rules() for m in r.methods or () if m != "HEAD"]


def test_whatever_is_not_public_by_contract_refuses_a_call_without_a_credential(
    app: Flask, web: FlaskClient
) -> None:
    seen_public = set()
    for method, rule in calls(app):
        answer = web.open(url(rule), method=method)
        if answer.status_code != 401:
            assert method == ("POST" if rule.rule in PUBLIC_POSTS else "GET")
            seen_public.add(rule.rule)
    assert seen_public == PUBLIC | PUBLIC_POSTS


def test_no_endpoint_is_registered_past_the_routing(app: Flask) -> None:
    assert {view.__qualname__ for view in app.view_functions.values()} == {"register.<locals>.view"}


def test_no_private_endpoint_looks_at_the_request_before_the_credential(
    app: Flask, web: FlaskClient
) -> None:
    for method, rule in calls(app):
        if (rule.rule in PUBLIC and method == "GET") or rule.rule in PUBLIC_POSTS:
            continue
        answer = web.open(url(rule) + "?bad=query", method=method, data=b"{", headers={})
        assert answer.json["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param("Bearer", id="no-token"),
        pytest.param("Bearer ", id="blank-token"),
        pytest.param("Basic {token}", id="other-scheme"),
        pytest.param("{token}", id="no-scheme"),
        pytest.param("Bearer {token}x", id="longer"),
        pytest.param("Bearer {upper}", id="upper-case"),
        pytest.param("Bearer {fresh}", id="unknown"),
    ],
)
def test_a_header_that_proves_nothing_is_refused_with_the_same_words(
    web: FlaskClient, world: World, header: str
) -> None:
    token = world.bearer[Role.CUSTODIAN]
    value = header.format(token=token, upper=token.upper(), fresh=new_token()[0])
    answer = web.get("/v1/slots", headers={"Authorization": value})
    assert answer.status_code == 401
    assert answer.json["detail"] == UnauthenticatedError.cause


def test_the_scheme_may_be_written_in_any_case(web: FlaskClient, world: World) -> None:
    headers = {"Authorization": f"bearer {world.bearer[Role.CUSTODIAN]}"}
    assert web.get("/v1/slots", headers=headers).status_code == 200


def test_a_public_endpoint_that_shows_more_to_some_refuses_a_bad_credential(
    web: FlaskClient, world: World
) -> None:
    bad = {"Authorization": f"Bearer {new_token()[0]}"}
    assert web.get("/v1/keys", headers=bad).status_code == 401
    assert web.get("/v1/keys", headers=world.authorization(Role.VERIFIER)).status_code == 200
    assert web.get("/v1/keys").status_code == 200


def test_other_public_endpoints_do_not_care_about_credentials(web: FlaskClient) -> None:
    bad = {"Authorization": f"Bearer {new_token()[0]}"}
    assert web.get("/healthz", headers=bad).status_code == 200
    assert web.get("/.well-known/jwks.json", headers=bad).status_code == 200


def test_a_store_that_is_down_is_not_a_bad_credential(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    world.book.down = True
    answer = web.get("/v1/signatures", headers=builder)
    assert (answer.status_code, answer.json["code"]) == (503, "store-unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert web.get("/healthz").status_code == 200


def test_a_credential_that_calls_too_often_is_told_when_to_come_back(
    world: World, builder: dict[str, str]
) -> None:
    policy = RatePolicy(roles={Role.BUILDER: RateLimit(per_minute=1, burst=2)})
    limits = RateLimits(MemoryBuckets(), lambda: policy, SystemClock())
    web = create_app(replace(world.operations, rates=limits), version="1").test_client()
    answers = [web.get("/v1/signatures", headers=builder) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    refused = answers[2]
    assert (refused.json["code"], refused.json["retryable"]) == ("rate-limited", True)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    # Whoever is somebody else, and whoever needs no credential, goes on.
    auditor = world.authorization(Role.AUDITOR)
    assert web.get("/v1/signatures", headers=auditor).status_code == 200
    assert web.get("/v1/keys").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/v1/slots", "/nowhere"])
def test_every_answer_carries_a_fresh_request_id_and_the_security_headers(
    web: FlaskClient, path: str
) -> None:
    first = web.get(path, headers={"X-Request-Id": "forged"})
    second = web.get(path)
    assert re.fullmatch("[0-9a-f]{32}", first.headers["X-Request-Id"])
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in first.headers["Content-Security-Policy"]


def test_answers_about_callers_are_not_cached(web: FlaskClient, builder: dict[str, str]) -> None:
    assert web.get("/v1/signatures", headers=builder).headers["Cache-Control"] == "no-store"
