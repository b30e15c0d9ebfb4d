from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from service.domain.callers import Role
from service.domain.errors import ForbiddenError
from service.domain.limits import MAX_OPEN_JOBS
from tests.support.edge import HEX, IMAGE
from tests.support.jobs import finish_jobs
from tests.support.operations import World

AWAY = f"registry.example.com/fail/hsm-unavailable@sha256:{HEX}"
ASYNC = {"Prefer": "respond-async"}


def submit(
    web: FlaskClient,
    who: dict[str, str],
    *references: str,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> TestResponse:
    images = [{"reference": reference} for reference in references or (IMAGE,)]
    sent = {**who, **ASYNC, **(headers or {})}
    return web.post("/v1/signatures", json={"images": images, **more}, headers=sent)


def test_a_job_is_answered_at_once_and_has_the_body_of_the_answer_in_the_end(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    answer = submit(web, builder, IMAGE, "not an image")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    where = answer.headers["Location"]
    assert where == f"/v1/signature-jobs/{answer.json['id']}"
    assert (answer.json["state"], answer.json["progress"]) == (
        "queued",
        {"total": 2, "done": 0, "failed": 0},
    )
    assert world.signing.calls == 0
    waiting = web.get(where, headers=builder)
    assert (waiting.status_code, waiting.json["state"]) == (200, "queued")
    assert "Retry-After" in waiting.headers
    assert "results" not in waiting.json
    finish_jobs(world)
    done = web.get(where, headers=builder)
    assert (done.status_code, done.json["state"], done.json["status"]) == (200, "done", 207)
    assert done.json["progress"] == {"total": 2, "done": 2, "failed": 1}
    waited = web.post(
        "/v1/signatures",
        json={"images": [{"reference": IMAGE}, {"reference": "not an image"}]},
        headers=builder,
    ).json
    assert waited.keys() <= done.json.keys()
    assert (done.json["succeeded"], done.json["failed"]) == (1, 1)
    assert done.json["results"][0].keys() == waited["results"][0].keys()
    assert done.json["results"][1] == waited["results"][1]
    [made], [also] = (body["results"][0]["signatures"] for body in (done.json, waited))
    assert made.keys() == also.keys()
    assert made["payload"] == also["payload"]


def test_a_single_image_that_failed_is_a_result_of_its_job(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    where = submit(web, builder, AWAY, on_failure="error").headers["Location"]
    finish_jobs(world)
    done = web.get(where, headers=builder).json
    assert (done["state"], done["status"], done["failed"]) == ("done", 503, 1)
    assert done["results"][0]["error"]["code"] == "hsm-unavailable"


def test_artifacts_are_there_for_whoever_attaches_by_itself(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    where = submit(web, builder, attach=False).headers["Location"]
    finish_jobs(world)
    [made] = web.get(where, headers=builder).json["results"][0]["signatures"]
    assert made["artifact"].keys() == {"manifest", "blobs", "tag", "subject"}


def test_a_job_that_failed_as_a_whole_says_why(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    where = submit(web, builder).headers["Location"]
    job = world.jobs.claim(owner="own", seconds=60)
    assert job is not None
    world.jobs.fail(job, ForbiddenError("revoked"))
    shown = web.get(where, headers=builder).json
    assert (shown["state"], shown["error"]["code"]) == ("failed", "forbidden")
    assert (shown["error"]["status"], shown["error"]["retryable"]) == (403, False)


def test_only_the_requester_and_auditors_see_a_job(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    where = submit(web, builder).headers["Location"]
    seen = {role: web.get(where, headers=world.authorization(role)).status_code for role in Role}
    assert seen == {
        Role.BUILDER: 200,
        Role.AUDITOR: 200,
        **dict.fromkeys(set(Role) - {Role.BUILDER, Role.AUDITOR}, 404),
    }
    assert web.get("/v1/signature-jobs/job_unknown", headers=builder).status_code == 404


def test_a_repeated_idempotency_key_names_the_job_that_there_is(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    key = {"Idempotency-Key": "build-42"}
    first, again = (submit(web, builder, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["Location"] == again.headers["Location"]
    other = submit(web, builder, IMAGE, IMAGE, headers=key)
    assert (other.status_code, other.json["code"]) == (422, "idempotency-key-reused")


def test_what_is_wrong_with_the_whole_request_is_told_at_once(
    web: FlaskClient, world: World, builder: dict[str, str]
) -> None:
    assert submit(web, builder, key="nobody").json["code"] == "key-not-found"
    assert submit(web, builder, surprise=1).json["code"] == "invalid-request"
    assert submit(web, builder, headers={"Idempotency-Key": "a b"}).status_code == 422
    assert world.jobs.jobs == {}


def test_a_credential_with_too_many_jobs_is_told_to_wait(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    assert {submit(web, builder).status_code for _ in range(MAX_OPEN_JOBS)} == {202}
    refused = submit(web, builder)
    assert (refused.status_code, refused.json["code"]) == (429, "too-many-jobs")
    assert "Retry-After" in refused.headers


@pytest.mark.parametrize(
    ("prefer", "status"),
    [
        pytest.param("respond-async", 202, id="as RFC 7240 writes it"),
        pytest.param("wait=10, Respond-Async", 202, id="among others, in another case"),
        pytest.param("respond-async; foo=bar", 202, id="with a parameter"),
        pytest.param("respond-asynchronously", 201, id="another word"),
        pytest.param('foo="respond-async"', 201, id="as a value"),
    ],
)
def test_the_preference_is_read_as_the_rfc_says(
    web: FlaskClient, builder: dict[str, str], prefer: str, status: int
) -> None:
    assert submit(web, builder, headers={"Prefer": prefer}).status_code == status
