from __future__ import annotations

import json
import logging
from http import HTTPStatus

import pytest
from flask import Flask
from flask.testing import FlaskClient

from service.domain import errors
from service.domain.errors import ServiceError, every_error
from service.web.problems import STATUS, problem, retry_after
from service.web.routing import MAX_QUERY_VALUE_CHARS
from tests.support.edge import HEX, IMAGE
from tests.support.operations import World

ALL = list(every_error())
MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "retryable"}


def test_every_error_has_an_http_status() -> None:
    assert set(ALL) == set(STATUS)


def test_every_error_code_is_given_once() -> None:
    assert len({kind.code for kind in ALL}) == len(ALL)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_every_error_becomes_a_problem_document(kind: type[ServiceError], app: Flask) -> None:
    with app.test_request_context():
        app.preprocess_request()
        response = app.process_response(problem(kind("what happened")))
    body = json.loads(response.data)
    assert response.content_type == "application/problem+json"
    assert body.keys() >= MEMBERS
    assert body["type"] == f"/problems/{kind.code}"
    assert body["code"] == kind.code
    assert body["status"] == response.status_code == STATUS[kind]
    assert body["request_id"] == response.headers["X-Request-Id"]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_what_may_be_retried_says_when_and_nothing_else_but_503_does(
    kind: type[ServiceError], app: Flask
) -> None:
    with app.test_request_context():
        app.preprocess_request()
        response = problem(kind())
    says_when = "Retry-After" in response.headers
    assert says_when == (kind.retryable or STATUS[kind] is HTTPStatus.SERVICE_UNAVAILABLE)
    if kind.retryable:
        assert STATUS[kind] in {
            HTTPStatus.SERVICE_UNAVAILABLE,
            HTTPStatus.CONFLICT,
            HTTPStatus.TOO_MANY_REQUESTS,
        }


@pytest.mark.parametrize(("seconds", "header"), [(0.0, 1), (0.2, 1), (2.0, 2), (2.1, 3)])
def test_retry_after_is_rounded_up_to_whole_seconds(seconds: float, header: int) -> None:
    assert retry_after(errors.RegistryUnavailableError(retry_after=seconds)) == header


def test_a_401_names_the_scheme(web: FlaskClient) -> None:
    answer = web.get("/v1/slots")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("GET", "/v1", 404, "not-found"),
        ("DELETE", "/healthz", 405, "method-not-allowed"),
        ("OPTIONS", "/v1/signatures", 405, "method-not-allowed"),
        ("GET", "/v1/keys/release/versions/x", 404, "not-found"),
    ],
)
def test_what_werkzeug_refuses_is_a_problem_of_ours(
    web: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    answer = web.open(path, method=method)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"


def test_a_405_names_the_methods_that_are_allowed(web: FlaskClient) -> None:
    assert "GET" in web.delete("/healthz").headers["Allow"]


def test_a_bug_shows_nothing_but_the_request_id_and_logs_its_cause(
    web: FlaskClient, builder: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    body = {"images": [{"reference": f"registry.example.com/bug/x@sha256:{HEX}"}]}
    with caplog.at_level(logging.ERROR):
        answer = web.post("/v1/signatures", json=body, headers=builder)
    assert (answer.status_code, answer.json["code"]) == (500, "internal")
    assert "s3cret" not in answer.text
    [record] = [r for r in caplog.records if r.getMessage() == "request.bug"]
    assert record.request_id == answer.json["request_id"]
    assert record.exc_info is not None
    assert "s3cret" in str(record.exc_info[1])


def test_the_cause_behind_an_expected_error_is_logged_and_not_shown(
    web: FlaskClient, world: World, builder: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    error = errors.StoreUnavailableError()
    error.__cause__ = OSError("password=s3cret")
    world.signing.whole_failures = [error]
    with caplog.at_level(logging.WARNING):
        answer = web.post(
            "/v1/signatures", json={"images": [{"reference": IMAGE}]}, headers=builder
        )
    assert answer.status_code == 503
    assert "s3cret" not in answer.text
    assert any(r.exc_info and r.exc_info[1] is error for r in caplog.records)


def test_invalid_input_names_the_fields(web: FlaskClient, builder: dict[str, str]) -> None:
    body = {"images": [{"reference": IMAGE}, {"reference": 7}], "atach": False}
    answer = web.post("/v1/signatures", json=body, headers=builder)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")
    assert answer.json["errors"] == {
        "images": {"1": {"reference": ["Not a valid string."]}},
        "atach": ["Unknown field."],
    }


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("repo=x", id="unknown-name"),
        pytest.param("key=a&key=b", id="given-twice"),
        pytest.param("key=a%00b", id="nul"),
        pytest.param("cursor=" + "x" * (MAX_QUERY_VALUE_CHARS + 1), id="too-long"),
        pytest.param("limit=0", id="limit-zero"),
        pytest.param("limit=501", id="limit-too-high"),
        pytest.param("limit=1_0", id="limit-with-underscore"),
        pytest.param("limit=%D9%A3", id="limit-in-arabic-digits"),
        pytest.param("since=2026-01-01", id="date-without-time"),
        pytest.param("since=2026-01-01T00:00:00", id="time-without-offset"),
        pytest.param("since=0001-01-01T00:00:00%2B23:59", id="time-before-time"),
        pytest.param("digest=sha512:" + "a" * 64, id="other-digest"),
        pytest.param("state=signed", id="unknown-state"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(
    web: FlaskClient, builder: dict[str, str], query: str
) -> None:
    answer = web.get(f"/v1/signatures?{query}", headers=builder)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")
    assert answer.json["errors"]


def test_a_query_that_fits_is_answered(web: FlaskClient, builder: dict[str, str]) -> None:
    query = (
        f"repository=registry.example.com/team/app&digest=sha256:{HEX}&key=release&limit=1"
        "&since=2026-01-01T00:00:00%2B02:00"
    )
    assert web.get(f"/v1/signatures?{query}", headers=builder).json == {"items": [], "next": None}
