from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.domain.callers import Role
from tests.support.edge import HEX, IMAGE
from tests.support.operations import World

FAILS = "registry.example.com/fail/{}@sha256:" + HEX
DENIED, AWAY = FAILS.format("policy-denied"), FAILS.format("hsm-unavailable")
LOST = FAILS.format("lease-lost")


def post(web: FlaskClient, builder: dict[str, str], *references: str, **more: Any) -> TestResponse:
    headers = {**builder, **more.pop("headers", {})}
    images = [{"reference": reference} for reference in references]
    return web.post("/v1/signatures", json={"images": images, **more}, headers=headers)


def test_success_is_201_and_the_answer_of_the_contract(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    body = {
        "images": [{"reference": IMAGE, "id": "build-42/app"}],
        "key": "release",
        "formats": ["cosign"],
        "annotations": {"org.example.commit": "abc\ndef"},
    }
    answer = web.post("/v1/signatures", json=body, headers=builder)
    assert answer.status_code == 201
    assert answer.json.keys() == {"results", "succeeded", "failed"}
    assert (answer.json["succeeded"], answer.json["failed"]) == (1, 0)
    [item] = answer.json["results"]
    assert item.keys() == {"id", "reference", "digest", "signatures", "children", "error"}
    assert (item["id"], item["reference"]) == ("build-42/app", IMAGE)
    assert (item["digest"], item["children"], item["error"]) == (f"sha256:{HEX}", [], None)
    [made] = item["signatures"]
    assert made.keys() == {
        "id",
        "format",
        "key",
        "key_version",
        "algorithm",
        "payload",
        "signature",
        "created_at",
        "attachment",
        "log",
        "timestamp",
    }
    assert (made["format"], made["key"], made["key_version"]) == ("cosign", "release", 1)
    assert made["algorithm"] == "ecdsa-p256-sha256"
    assert HEX.encode() in base64.b64decode(made["payload"], validate=True)
    assert made["created_at"].endswith("Z")
    assert made["attachment"].keys() == {"state", "digest", "media_type"}
    assert made["attachment"]["state"] == "attached"
    assert made["log"] is None


def test_the_results_keep_the_order_of_the_images(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    images = [
        {"reference": f"registry.example.com/app{n}@sha256:{HEX}", "id": str(n)} for n in range(50)
    ]
    answer = web.post("/v1/signatures", json={"images": images}, headers=builder)
    assert [r["id"] for r in answer.json["results"]] == [str(n) for n in range(50)]
    assert [r["reference"] for r in answer.json["results"]] == [i["reference"] for i in images]


def test_one_bad_item_fails_alone_and_gives_207(web: FlaskClient, builder: dict[str, str]) -> None:
    answer = post(web, builder, IMAGE, "not an image", DENIED)
    assert answer.status_code == 207
    assert (answer.json["succeeded"], answer.json["failed"]) == (1, 2)
    good, unreadable, denied = answer.json["results"]
    assert good["error"] is None
    assert unreadable["error"]["code"] == "invalid-reference"
    assert denied["error"] == {
        "code": "policy-denied",
        "detail": "asked to fail with policy-denied",
        "status": 403,
        "retryable": False,
    }
    assert denied["signatures"] == []


@pytest.mark.parametrize(
    ("references", "status"),
    [
        pytest.param((AWAY, LOST), 503, id="all-retryable"),
        pytest.param((AWAY, DENIED), 422, id="one-for-good"),
        pytest.param((DENIED, "x y"), 422, id="all-for-good"),
    ],
)
def test_if_none_succeeds_the_answer_is_422_or_503_with_the_results(
    web: FlaskClient, builder: dict[str, str], references: tuple[str, ...], status: int
) -> None:
    answer = post(web, builder, *references)
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert (answer.json["succeeded"], answer.json["failed"]) == (0, 2)
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize("on_failure", ["report", "error"])
@pytest.mark.parametrize(
    ("reference", "status", "code"),
    [(DENIED, 403, "policy-denied"), (AWAY, 503, "hsm-unavailable")],
)
def test_a_request_of_one_image_that_failed_answers_with_that_problem(
    web: FlaskClient,
    builder: dict[str, str],
    *,
    reference: str,
    status: int,
    code: str,
    on_failure: str,
) -> None:
    answer = post(web, builder, reference, on_failure=on_failure)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.mark.parametrize(("reference", "status"), [(DENIED, 422), (AWAY, 503)])
def test_with_on_failure_error_any_failure_fails_the_request_with_the_same_body(
    web: FlaskClient, builder: dict[str, str], reference: str, status: int
) -> None:
    answer = post(web, builder, IMAGE, reference, on_failure="error")
    assert answer.status_code == status
    assert (answer.json["succeeded"], answer.json["failed"]) == (1, 1)
    assert post(web, builder, IMAGE, on_failure="error").status_code == 201


def test_with_attach_false_the_answer_holds_what_to_push(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    answer = post(web, builder, IMAGE, attach=False)
    [made] = answer.json["results"][0]["signatures"]
    assert made["attachment"]["state"] == "none"
    artifact = made["artifact"]
    assert artifact["tag"] == f"sha256-{HEX}.sig"
    for content in (artifact["manifest"], *artifact["blobs"]):
        raw = base64.b64decode(content["content"], validate=True)
        assert content["digest"] == "sha256:" + hashlib.sha256(raw).hexdigest()
        assert content["size"] == len(raw)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"images": []}, id="no-image"),
        pytest.param({"images": "x"}, id="images-as-text"),
        pytest.param({"images": [{"reference": IMAGE}], "digest": "x"}, id="unknown-field"),
        pytest.param({"images": [{"reference": IMAGE}], "attach": "false"}, id="text-for-boolean"),
        pytest.param({"images": [{"reference": IMAGE}], "force": 1}, id="number-for-boolean"),
        pytest.param({"images": [{"reference": IMAGE}], "formats": []}, id="no-format"),
        pytest.param(
            {"images": [{"reference": IMAGE}], "formats": ["cosign", "cosign"]}, id="format-twice"
        ),
        pytest.param({"images": [{"reference": IMAGE}], "on_failure": "ignore"}, id="on-failure"),
        pytest.param(
            {"images": [{"reference": IMAGE}], "annotations": {"a": 1}}, id="number-annotation"
        ),
        pytest.param(
            {"images": [{"reference": IMAGE}], "annotations": {"dev.sealwright.x": "y"}},
            id="reserved-annotation",
        ),
        pytest.param(
            {"images": [{"reference": IMAGE}], "annotations": {"a": "b\x00"}}, id="nul-annotation"
        ),
        pytest.param(
            {"images": [{"reference": IMAGE}], "annotations": {str(n): "" for n in range(65)}},
            id="too-many-annotations",
        ),
    ],
)
def test_a_request_of_the_wrong_shape_is_refused_and_nothing_is_signed(
    web: FlaskClient, world: World, builder: dict[str, str], body: dict[str, object]
) -> None:
    answer = web.post("/v1/signatures", json=body, headers=builder)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")
    assert world.signing.calls == 0


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.BUILDER])
def test_a_refusal_of_the_whole_request_is_a_problem(
    web: FlaskClient, world: World, role: Role
) -> None:
    answer = post(web, world.authorization(role), IMAGE)
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert answer.json["reasons"]


def test_the_same_idempotency_key_with_the_same_body_signs_once(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "a-b-c"}
    first = post(web, builder, IMAGE, force=True, headers=headers)
    again = post(web, builder, IMAGE, force=True, headers=headers)
    other = post(web, builder, IMAGE, force=True, headers={"Idempotency-Key": "d"})
    assert again.json == first.json
    assert other.json != first.json


def test_the_same_idempotency_key_with_another_body_is_refused(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    headers = {"Idempotency-Key": "a-b-c"}
    assert post(web, builder, IMAGE, headers=headers).status_code == 201
    answer = post(web, builder, IMAGE, force=True, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (422, "idempotency-key-reused")


def test_while_the_first_request_runs_the_second_is_told_when_to_come_back(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    answer = post(web, builder, IMAGE, headers={"Idempotency-Key": "still-running"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "3")


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "caf\xe9", "a\tb"])
def test_an_idempotency_key_that_cannot_be_kept_is_refused(
    web: FlaskClient, world: World, builder: dict[str, str], key: str
) -> None:
    answer = post(web, builder, IMAGE, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json["errors"]
    assert world.signing.calls == 0


def test_the_longest_idempotency_key_is_taken(web: FlaskClient, builder: dict[str, str]) -> None:
    answer = post(web, builder, IMAGE, headers={"Idempotency-Key": "x" * 255})
    assert answer.status_code == 201
