from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.jobs import Progress
from tests.support.operations import World

PATH = "/v1/keys/release/versions/1/reissue"
DONE = (
    b'{"after":7,"swept":"","report":{"reissued":2,"already":0,"gone":0,"failed":1,"forged":1,'
    b'"unseen":0,"forgeries":[{"reference":"host/app@sha256:aa","format":"cosign","version":1,'
    b'"identity":null}],"failures":[{"reference":"host/b@sha256:bb","code":"hsm-unavailable",'
    b'"detail":"away"}]}}'
)


@pytest.fixture
def custodian(world: World) -> dict[str, str]:
    return world.authorization(Role.CUSTODIAN)


def test_a_reissue_is_a_job_with_its_counts_and_what_it_has_found(
    web: FlaskClient, world: World, custodian: dict[str, str]
) -> None:
    answer = web.post(PATH, json={"dry_run": True}, headers=custodian)
    assert answer.status_code == 202
    where = answer.headers["Location"]
    assert where == f"/v1/reissue-jobs/{answer.json['id']}"
    asked = {name: answer.json[name] for name in ("key", "version", "dry_run", "state")}
    assert asked == {"key": "release", "version": 1, "dry_run": True, "state": "queued"}
    job = world.jobs.claim(owner="own", seconds=60)
    assert job is not None
    world.jobs.finish(job, Progress(3, 3, 1), DONE)
    done = web.get(where, headers=custodian).json
    assert (done["state"], done["progress"]) == ("done", {"total": 3, "done": 3, "failed": 1})
    assert done["counts"] == {
        "reissued": 2,
        "already": 0,
        "gone": 0,
        "failed": 1,
        "forged": 1,
        "unseen": 0,
    }
    assert [one["reference"] for one in done["forged"]] == ["host/app@sha256:aa"]
    assert [one["code"] for one in done["failures"]] == ["hsm-unavailable"]
    # Each kind of job is found under its own path only.
    assert web.get(where.replace("reissue", "signature"), headers=custodian).status_code == 404


def test_the_body_may_be_left_out_and_a_repeated_key_gives_the_same_job(
    web: FlaskClient, custodian: dict[str, str]
) -> None:
    headers = {**custodian, "Idempotency-Key": "after-the-rotation"}
    first, again = (web.post(PATH, headers=headers) for _ in range(2))
    assert (first.status_code, first.json["dry_run"]) == (202, False)
    assert first.json["id"] == again.json["id"]
    other = web.post(PATH, json={"dry_run": True}, headers=headers)
    assert other.json["code"] == "idempotency-key-reused"


def test_only_custodians_ask_and_only_for_a_version_that_is_active(
    web: FlaskClient, world: World, custodian: dict[str, str]
) -> None:
    for role in set(Role) - {Role.CUSTODIAN}:
        assert web.post(PATH, headers=world.authorization(role)).status_code == 403
    refused = web.post(PATH.replace("/1/", "/9/"), headers=custodian)
    assert (refused.status_code, refused.json["code"]) == (404, "key-not-found")
    web.post("/v1/keys/release/versions/1/state", json={"state": "retired"}, headers=custodian)
    retired = web.post(PATH, headers=custodian)
    assert (retired.status_code, retired.json["code"]) == (409, "key-not-usable")
