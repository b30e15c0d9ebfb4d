from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.errors import HSMUnavailableError, PINRefusedError
from tests.support.operations import World

FUTURE = "2999-01-01T00:00:00Z"


@pytest.fixture
def custodian(world: World) -> dict[str, str]:
    return world.authorization(Role.CUSTODIAN)


@pytest.fixture
def admin(world: World) -> dict[str, str]:
    return world.authorization(Role.ADMIN)


def test_slots_are_listed_initialised_ones_first(
    web: FlaskClient, custodian: dict[str, str]
) -> None:
    answer = web.get("/v1/slots", headers=custodian)
    assert [slot["token"] for slot in answer.json["items"]] == ["test", None]
    assert answer.json["next"] is None
    assert answer.json["items"][0].keys() == {
        "token",
        "name",
        "module",
        "serial",
        "initialized",
        "flags",
        "free_bytes",
        "state",
        "detail",
    }


def test_a_custodian_may_try_a_refused_pin_once_more(
    web: FlaskClient, world: World, custodian: dict[str, str], builder: dict[str, str]
) -> None:
    assert web.post("/v1/slots/test/login", headers=custodian).json["state"] == "ready"
    assert web.post("/v1/slots/none/login", headers=custodian).status_code == 404
    assert web.post("/v1/slots/test/login", headers=builder).status_code == 403
    world.tokens.fault = PINRefusedError()
    refused = web.post("/v1/slots/test/login", headers=custodian)
    assert (refused.status_code, refused.json["retryable"]) == (503, False)
    assert "Retry-After" in refused.headers


def test_a_custodian_sees_what_a_token_can_do(
    web: FlaskClient, world: World, custodian: dict[str, str], builder: dict[str, str]
) -> None:
    answer = web.get("/v1/slots/test/mechanisms", headers=custodian)
    assert answer.json == {
        "items": [
            {
                "name": "ECDSA",
                "min_key_size": 112,
                "max_key_size": 521,
                "flags": ["sign", "verify"],
            }
        ],
        "next": None,
    }
    assert web.get("/v1/slots/none/mechanisms", headers=custodian).status_code == 404
    assert web.get("/v1/slots/test/mechanisms", headers=builder).status_code == 403
    world.tokens.fault = HSMUnavailableError()
    assert web.get("/v1/slots/test/mechanisms", headers=custodian).status_code == 503


def made(web: FlaskClient, admin: dict[str, str], **more: Any) -> Any:
    body = {"name": "ci", "person": "Ada", "role": "builder", **more}
    return web.post("/v1/credentials", json=body, headers=admin)


def test_a_credential_works_from_when_it_is_made_until_it_is_revoked(
    web: FlaskClient, admin: dict[str, str], world: World
) -> None:
    answer = made(web, admin, repositories=["registry.example.com/*"], keys=["release"])
    assert answer.status_code == 201
    bearer = {"Authorization": f"Bearer {answer.json['token']}"}
    assert web.get("/v1/signatures", headers=bearer).status_code == 200
    revoked = web.delete("/v1/credentials/ci", headers=admin)
    assert revoked.status_code == 200
    assert revoked.json["revoked_at"] is not None
    assert web.delete("/v1/credentials/ci", headers=admin).json == revoked.json
    assert web.delete("/v1/credentials/none", headers=admin).status_code == 404


def test_the_token_is_shown_once_and_its_hash_never(
    web: FlaskClient, admin: dict[str, str], world: World
) -> None:
    token = made(web, admin, rights=["b", "a"], expires_at=FUTURE).json["token"]
    listed = web.get("/v1/credentials?limit=500", headers=admin)
    [shown] = [item for item in listed.json["items"] if item["name"] == "ci"]
    assert token not in listed.text
    assert world.book.credentials["ci"].token_hash not in listed.text
    assert (shown["rights"], shown["expires_at"]) == (["a", "b"], "2999-01-01T00:00:00.000Z")
    assert (shown["role"], shown["person"], shown["revoked_at"]) == ("builder", "Ada", None)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"role": "root"}, 422),
        ({"name": "Ci"}, 422),
        ({"name": ""}, 422),
        ({"person": "a\x00b"}, 422),
        ({"repositories": "*"}, 422),
        ({"keys": ["a", "a"]}, 422),
        ({"expires_at": "tomorrow"}, 422),
        ({"expires_at": "2999-02-30T00:00:00Z"}, 422),
        ({"expires_at": (datetime.now(UTC) - timedelta(days=1)).isoformat()}, 422),
        ({"token": "mine"}, 422),
        ({"name": "admin"}, 409),
    ],
)
def test_a_credential_that_cannot_be_made_is_refused(
    web: FlaskClient, admin: dict[str, str], more: dict[str, object], status: int
) -> None:
    assert made(web, admin, **more).status_code == status


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_nobody_but_an_admin_manages_credentials(
    web: FlaskClient, world: World, role: Role
) -> None:
    headers = world.authorization(role)
    assert made(web, headers).status_code == 403
    assert web.get("/v1/credentials", headers=headers).status_code == 403
    assert web.delete("/v1/credentials/builder", headers=headers).status_code == 403
