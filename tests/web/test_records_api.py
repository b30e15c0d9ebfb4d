from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.digests import Digest
from service.domain.signing import AttachmentState
from tests.support.operations import World, signed, unknown_outcome

ONE, TWO = Digest.of(b"1"), Digest.of(b"2")
APP, OTHER = "registry.example.com/team/app", "registry.example.com/other"


@pytest.fixture
def auditor(world: World) -> dict[str, str]:
    return world.authorization(Role.AUDITOR)


@pytest.fixture
def admin(world: World) -> dict[str, str]:
    return world.authorization(Role.ADMIN)


def test_signatures_are_listed_page_by_page_without_gap_or_repeat(
    web: FlaskClient, world: World, auditor: dict[str, str]
) -> None:
    made = [signed(world, APP, Digest.of(bytes([n]))).id for n in range(5)]
    seen: list[str] = []
    path: str | None = "/v1/signatures?limit=2"
    while path is not None:
        page = web.get(path, headers=auditor).json
        assert page.keys() == {"items", "next"}
        seen += [item["id"] for item in page["items"]]
        path = page["next"] and f"/v1/signatures?limit=2&cursor={page['next']}"
    assert seen == made[::-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"repository={APP}", 1),
        (f"repository={APP}x", 0),
        (f"digest={TWO}", 1),
        ("key=release", 2),
        ("key=other", 0),
        ("since=2026-01-01T00:00:00Z", 2),
        ("since=9999-01-01T00:00:00Z", 0),
    ],
)
def test_signatures_are_filtered(
    web: FlaskClient, world: World, auditor: dict[str, str], query: str, found: int
) -> None:
    signed(world, APP, ONE)
    signed(world, OTHER, TWO)
    assert len(web.get(f"/v1/signatures?{query}", headers=auditor).json["items"]) == found


def test_a_signature_on_record_shows_what_it_says(
    web: FlaskClient, world: World, auditor: dict[str, str]
) -> None:
    made = signed(world, APP, ONE)
    shown = web.get(f"/v1/signatures/{made.id}", headers=auditor).json
    assert (shown["repository"], shown["digest"]) == (APP, str(ONE))
    assert (shown["identity"], shown["annotations"]) == (APP, {})
    assert (shown["caller"], shown["log"]) == ("cred_builder", None)
    assert web.get("/v1/signatures", headers=auditor).json["items"] == [shown]


@pytest.mark.parametrize("name", ["sig_none", "a%00b", "a%0Ab", "%F0%9F%92%A9"])
def test_a_signature_that_is_not_there_is_404(
    web: FlaskClient, auditor: dict[str, str], name: str
) -> None:
    answer = web.get(f"/v1/signatures/{name}", headers=auditor)
    assert (answer.status_code, answer.json["code"]) == (404, "not-found")


def test_intents_without_an_outcome_are_shown_only_when_asked_for(
    web: FlaskClient, world: World, auditor: dict[str, str]
) -> None:
    world.journal.intents.append(unknown_outcome(APP, ONE))
    assert web.get("/v1/signatures", headers=auditor).json["items"] == []
    [intent] = web.get("/v1/signatures?state=outcome-unknown", headers=auditor).json["items"]
    assert (intent["id"], intent["state"]) == ("int_1", "outcome-unknown")
    assert "signature" not in intent


def test_a_repository_that_cannot_be_read_is_refused(
    web: FlaskClient, auditor: dict[str, str]
) -> None:
    answer = web.get("/v1/signatures?repository=a:tag", headers=auditor)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-reference")


def test_attachments_are_listed_by_state_and_retried_one_by_one(
    web: FlaskClient, world: World, admin: dict[str, str]
) -> None:
    signed(world, APP, ONE)
    signed(world, OTHER, TWO)
    world.journal.set_state(0, AttachmentState.FAILED)
    assert len(web.get("/v1/attachments", headers=admin).json["items"]) == 2
    [parked] = web.get("/v1/attachments?state=failed", headers=admin).json["items"]
    assert parked["error"] == {"code": "registry-refused", "detail": "immutable tag"}
    assert (parked["repository"], parked["next_attempt_at"]) == (APP, None)
    answer = web.post(f"/v1/attachments/{parked['id']}/retry", headers=admin)
    assert (answer.status_code, answer.json["state"]) == (200, "pending")
    assert web.get("/v1/attachments?state=failed", headers=admin).json["items"] == []
    assert web.post("/v1/attachments/att_none/retry", headers=admin).status_code == 404
    assert web.get("/v1/attachments?state=none", headers=admin).status_code == 422


def test_orders_are_listed_and_the_parked_ones_retried(
    web: FlaskClient, world: World, admin: dict[str, str]
) -> None:
    signed(world, APP, ONE)
    signed(world, OTHER, TWO)
    world.journal.set_state(1, AttachmentState.FAILED)
    [parked] = web.get("/v1/outbox?state=parked", headers=admin).json["items"]
    assert (parked["kind"], parked["repository"]) == ("attach", OTHER)
    assert parked["error"] == {"code": "registry-refused", "detail": None}
    assert web.post("/v1/outbox/retry", headers=admin).json == {"retried": 1}
    assert web.post("/v1/outbox/retry", headers=admin).json == {"retried": 0}
    assert len(web.get("/v1/outbox?state=waiting", headers=admin).json["items"]) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/outbox"), ("POST", "/v1/outbox/retry"), ("GET", "/v1/signatures")],
)
def test_a_verifier_sees_no_records(
    web: FlaskClient, world: World, admin: dict[str, str], method: str, path: str
) -> None:
    denied = web.open(path, method=method, headers=world.authorization(Role.VERIFIER))
    assert (denied.status_code, denied.json["code"]) == (403, "forbidden")
    assert web.open(path, method=method, headers=admin).status_code == 200
