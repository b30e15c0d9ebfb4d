from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.domain.acts import ActKind
from service.domain.callers import Role
from service.domain.quorum import QuorumRules
from service.web.schemas.approvals import ApprovalPageSchema, ApprovalSchema
from service.web.schemas.policy import QuorumStatusSchema
from tests.support.operations import World, hire
from tests.support.ssh import make_key

TWO = QuorumRules({ActKind.RETIRE: 2})
NAMESPACE = "sealwright-approval@sealwright.dev"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def ada(world: World) -> dict[str, str]:
    """The custodian who asks."""
    return world.authorization(Role.CUSTODIAN)


@pytest.fixture
def grace(world: World) -> dict[str, str]:
    return bearer(hire(world, "grace", "Grace"))


@pytest.fixture
def keepers(ada: dict[str, str], grace: dict[str, str]) -> list[dict[str, str]]:
    return [ada, grace]


@pytest.fixture
def admin(world: World) -> dict[str, str]:
    return world.authorization(Role.ADMIN)


def retire(web: FlaskClient, headers: dict[str, str]) -> Any:
    body = {"state": "retired", "reason": "a newer one"}
    return web.post("/v1/keys/release/versions/1/state", json=body, headers=headers)


@pytest.fixture
def asked(web: FlaskClient, world: World, ada: dict[str, str], grace: dict[str, str]) -> Any:
    world.policy.quorum = TWO
    answer = retire(web, ada)
    assert answer.status_code == 202, answer.json
    return answer.json


def decide(
    web: FlaskClient, asked: Any, headers: dict[str, str], verb: str = "approve", **body: str
) -> Any:
    path = f"/v1/approvals/{asked['id']}/{verb}"
    return web.post(path, headers=headers, **({"json": body} if body else {}))


def state(web: FlaskClient) -> str:
    return str(web.get("/v1/keys/release/versions/1").json["state"])


def test_an_act_that_needs_a_quorum_is_answered_with_its_approval(
    web: FlaskClient, asked: Any
) -> None:
    assert ApprovalSchema().validate(asked) == {}
    assert (asked["state"], asked["act"], asked["subject"]) == ("pending", "retire", "release/1")
    assert (asked["needed"], asked["missing"], asked["approvals"]) == (2, 1, [])
    assert asked["requester"] == {
        "name": "custodian",
        "person": "custodian@example.com",
        "role": "custodian",
    }
    document = json.loads(base64.b64decode(asked["document"]))
    assert (document["approval"], document["arguments"]) == (asked["id"], asked["arguments"])
    assert state(web) == "active"


def test_the_last_approval_performs_the_act_within_its_request(
    web: FlaskClient, asked: Any, grace: dict[str, str]
) -> None:
    done = decide(web, asked, grace, reason="agreed")
    assert done.status_code == 200
    assert ApprovalSchema().validate(done.json) == {}
    assert (done.json["state"], done.json["missing"]) == ("executed", 0)
    assert done.json["approvals"][0]["person"] == "Grace"
    assert done.json["approvals"][0]["reason"] == "agreed"
    assert done.json["outcome"]
    assert state(web) == "retired"
    again = decide(web, asked, grace)
    assert (again.status_code, again.json["code"]) == (409, "approval-not-pending")


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_the_person_who_asked_does_not_decide(
    web: FlaskClient, world: World, asked: Any, ada: dict[str, str], verb: str
) -> None:
    other = bearer(hire(world, "custodian-too", "Custodian@Example.com"))
    for headers in (ada, other):
        refused = decide(web, asked, headers, verb)
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert state(web) == "active"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CUSTODIAN])
def test_only_custodians_decide_and_some_others_may_look(
    web: FlaskClient, world: World, asked: Any, role: Role
) -> None:
    headers = world.authorization(role)
    assert decide(web, asked, headers).status_code == 403
    assert decide(web, asked, headers, "reject").status_code == 403
    sees = role in {Role.AUDITOR, Role.ADMIN}
    for path in ("/v1/approvals", f"/v1/approvals/{asked['id']}", "/v1/policy/quorum"):
        assert web.get(path, headers=headers).status_code == (200 if sees else 403)


def test_a_rejection_ends_it(web: FlaskClient, asked: Any, grace: dict[str, str]) -> None:
    rejected = decide(web, asked, grace, "reject", reason="still in use")
    assert (rejected.status_code, rejected.json["state"]) == (200, "rejected")
    assert rejected.json["rejection"]["reason"] == "still in use"
    assert decide(web, asked, grace).json["code"] == "approval-not-pending"
    assert state(web) == "active"


def test_a_state_that_has_changed_is_not_what_was_approved(
    web: FlaskClient, asked: Any, ada: dict[str, str], grace: dict[str, str]
) -> None:
    body = {"state": "suspended"}
    assert (
        web.post("/v1/keys/release/versions/1/state", json=body, headers=ada).status_code == 200
    )  # one custodian, at once
    stale = decide(web, asked, grace)
    assert (stale.status_code, stale.json["code"]) == (409, "approval-stale")
    shown = web.get(f"/v1/approvals/{asked['id']}", headers=grace).json
    assert (shown["state"], shown["error"]["code"]) == ("failed", "approval-stale")
    assert state(web) == "suspended"


def test_a_requester_who_was_revoked_stops_it(
    web: FlaskClient, asked: Any, admin: dict[str, str], grace: dict[str, str]
) -> None:
    assert web.delete("/v1/credentials/custodian", headers=admin).status_code == 200
    refused = decide(web, asked, grace)
    assert (refused.status_code, refused.json["code"]) == (409, "approver-invalid")
    assert state(web) == "active"


def test_what_has_expired_is_told_and_cannot_be_approved(
    web: FlaskClient, world: World, asked: Any, grace: dict[str, str]
) -> None:
    held = world.approvals._approvals
    past = datetime.now(UTC) - timedelta(seconds=1)
    held[asked["id"]] = replace(held[asked["id"]], expires_at=past)
    assert decide(web, asked, grace).json["code"] == "approval-not-pending"
    listed = web.get("/v1/approvals?state=expired", headers=grace).json["items"]
    assert [approval["id"] for approval in listed] == [asked["id"]]


def test_approvals_are_listed_by_state_and_key(
    web: FlaskClient, asked: Any, grace: dict[str, str]
) -> None:
    page = web.get("/v1/approvals?state=pending&key=release&limit=1", headers=grace).json
    assert ApprovalPageSchema().validate(page) == {}
    assert [approval["id"] for approval in page["items"]] == [asked["id"]]
    assert web.get("/v1/approvals?key=other", headers=grace).json["items"] == []
    assert web.get("/v1/approvals?state=executed", headers=grace).json["items"] == []
    assert web.get("/v1/approvals?state=none", headers=grace).status_code == 422
    assert web.get("/v1/approvals/apr_none", headers=grace).status_code == 404
    assert decide(web, {"id": "apr_none"}, grace).status_code == 404


@pytest.mark.parametrize("body", [{"vote": "yes"}, {"reason": ""}, {"signature": ""}, []])
def test_a_decision_that_is_malformed_is_refused(
    web: FlaskClient, asked: Any, grace: dict[str, str], body: object
) -> None:
    path = f"/v1/approvals/{asked['id']}/approve"
    assert web.post(path, json=body, headers=grace).status_code in {400, 422}
    assert web.post(path, data=b"{", headers=grace).status_code == 415
    assert state(web) == "active"


def test_a_rule_for_activation_is_not_passed_by_making_another_version(
    web: FlaskClient, world: World, ada: dict[str, str]
) -> None:
    world.policy.quorum = QuorumRules({ActKind.ACTIVATE: 2})
    path = "/v1/keys/release/versions"
    assert web.post(path, json={}, headers=ada).status_code == 202
    staged = web.post(path, json={"state": "staged"}, headers=ada)
    assert staged.status_code == 201
    active = {"state": "active"}
    number = staged.json["version"]
    assert web.post(f"{path}/{number}/state", json=active, headers=ada).status_code == 202


# --- signatures


@pytest.fixture
def signing(world: World, tmp_path: Path) -> Any:
    """Hedy has a registered key; returns her headers and the key."""
    key = make_key(tmp_path)
    return bearer(hire(world, "hedy", "Hedy", ssh_public_key=key.line)), key


def document_of(asked: Any) -> bytes:
    return base64.b64decode(asked["document"])


def test_an_approval_may_carry_a_signature_that_is_kept(
    web: FlaskClient, asked: Any, signing: Any
) -> None:
    headers, key = signing
    signature = key.sign(document_of(asked), NAMESPACE)
    done = decide(web, asked, headers, signature=signature)
    assert done.status_code == 200, done.json
    [vote] = done.json["approvals"]
    assert vote["signature"] == signature
    assert key.line.startswith(vote["ssh_public_key"])


def test_a_signature_that_does_not_hold_counts_for_nothing(
    web: FlaskClient, asked: Any, signing: Any, tmp_path: Path
) -> None:
    headers, key = signing
    document = document_of(asked)
    wrong = [
        key.sign(document + b" ", NAMESPACE),
        key.sign(document, "sealwright-rejection@sealwright.dev"),
        make_key(tmp_path).sign(document, NAMESPACE),
        "-----BEGIN SSH SIGNATURE-----",
    ]
    for signature in wrong:
        refused = decide(web, asked, headers, signature=signature)
        assert (refused.status_code, refused.json["code"]) == (
            422,
            "approval-signature-invalid",
        )
    assert state(web) == "active"


def test_a_signature_without_a_registered_key_cannot_be_checked(
    web: FlaskClient, asked: Any, grace: dict[str, str], tmp_path: Path
) -> None:
    signature = make_key(tmp_path).sign(document_of(asked), NAMESPACE)
    refused = decide(web, asked, grace, signature=signature)
    assert (refused.status_code, refused.json["code"]) == (422, "ssh-key-missing")


def test_policy_can_demand_signatures(
    web: FlaskClient, world: World, ada: dict[str, str], grace: dict[str, str], signing: Any
) -> None:
    world.policy.quorum = replace(TWO, signed=True)
    asked = retire(web, ada).json
    assert asked["signed"] is True
    refused = decide(web, asked, grace)
    assert (refused.status_code, refused.json["code"]) == (422, "approval-signature-required")
    headers, key = signing
    done = decide(web, asked, headers, signature=key.sign(document_of(asked), NAMESPACE))
    assert (done.status_code, done.json["state"]) == (200, "executed")


def test_a_rejection_needs_no_signature(
    web: FlaskClient, world: World, ada: dict[str, str], grace: dict[str, str]
) -> None:
    world.policy.quorum = replace(TWO, signed=True)
    assert decide(web, retire(web, ada).json, grace, "reject").json["state"] == "rejected"


# --- custodians' credentials


def make_custodian(web: FlaskClient, admin: dict[str, str], **more: Any) -> Any:
    body = {"name": "edith", "person": "Edith", "role": "custodian", **more}
    return web.post("/v1/credentials", json=body, headers=admin)


def test_a_third_custodian_works_once_two_have_approved(
    web: FlaskClient,
    world: World,
    admin: dict[str, str],
    ada: dict[str, str],
    grace: dict[str, str],
) -> None:
    world.policy.quorum = TWO
    asked = make_custodian(web, admin)
    assert (asked.status_code, asked.json["missing"]) == (202, 2)
    edith = bearer(asked.json["token"])
    assert web.get("/v1/approvals", headers=edith).status_code == 401
    assert asked.json["token"] not in web.get("/v1/approvals", headers=ada).text
    first = decide(web, asked.json, ada)
    assert (first.status_code, first.json["state"], first.json["missing"]) == (200, "pending", 1)
    assert decide(web, asked.json, ada).json["code"] == "already-approved"
    assert decide(web, asked.json, grace).json["state"] == "executed"
    assert web.get("/v1/approvals", headers=edith).status_code == 200


def test_other_people_and_keys_for_a_custodian_need_the_quorum_too(
    web: FlaskClient,
    world: World,
    admin: dict[str, str],
    keepers: list[dict[str, str]],
    tmp_path: Path,
) -> None:
    world.policy.quorum = TWO
    path = "/v1/credentials/grace"
    for change in (
        {"person": "Mallory"},
        {"ssh_public_key": make_key(tmp_path).line},
        {"expires_at": None},
    ):
        assert web.patch(path, json=change, headers=admin).status_code == 202
    assert world.book.credentials["grace"].caller.person == "Grace"
    change = {"ssh_public_key": make_key(tmp_path).line, "expires_at": "2999-01-01T00:00:00Z"}
    asked = web.patch(path, json=change, headers=admin).json
    assert [decide(web, asked, one).json["state"] for one in keepers] == ["pending", "executed"]
    held = world.book.credentials["grace"]
    assert change["ssh_public_key"].startswith(held.ssh_public_key or "?")
    assert held.expires_at is not None
    assert web.delete("/v1/credentials/grace", headers=admin).status_code == 200


def test_the_first_key_of_all_is_registered_without_signatures(
    web: FlaskClient,
    world: World,
    admin: dict[str, str],
    keepers: list[dict[str, str]],
    tmp_path: Path,
) -> None:
    world.policy.quorum = replace(TWO, signed=True)
    path = "/v1/credentials/grace"
    line = make_key(tmp_path).line
    asked = web.patch(path, json={"ssh_public_key": line}, headers=admin).json
    assert (asked["signed"], asked["needed"]) == (False, 2)
    assert [decide(web, asked, one).json["state"] for one in keepers] == ["pending", "executed"]
    for change in ({"ssh_public_key": make_key(tmp_path).line}, {"ssh_public_key": None}):
        assert web.patch(path, json=change, headers=admin).json["signed"] is True


def test_other_credentials_are_changed_at_once(
    web: FlaskClient, world: World, admin: dict[str, str], ada: dict[str, str], tmp_path: Path
) -> None:
    world.policy.quorum = TWO
    path = "/v1/credentials/builder"
    changed = web.patch(path, json={"person": "CI", "expires_at": None}, headers=admin)
    assert (changed.status_code, changed.json["person"]) == (200, "CI")
    line = make_key(tmp_path).line
    for body, status in (
        ({"ssh_public_key": line}, 422),
        ({}, 422),
        ({"role": "custodian"}, 422),
        ({"person": None}, 422),
        ({"expires_at": "2000-01-01T00:00:00Z"}, 422),
    ):
        assert web.patch(path, json=body, headers=admin).status_code == status
    assert web.patch(path, json={"person": "x"}, headers=ada).status_code == 403
    assert web.patch("/v1/credentials/x", json={"person": "x"}, headers=admin).status_code == 404
    web.delete(path, headers=admin)
    assert web.patch(path, json={"person": "x"}, headers=admin).status_code == 404


def test_a_key_belongs_to_one_person(
    web: FlaskClient, world: World, admin: dict[str, str], tmp_path: Path
) -> None:
    line = make_key(tmp_path).line
    made = make_custodian(web, admin, ssh_public_key=line)
    assert (made.status_code, line.startswith(made.json["ssh_public_key"])) == (201, True)
    again = make_custodian(web, admin, name="edith-2", ssh_public_key=line)
    assert again.status_code == 201
    other = make_custodian(web, admin, name="joan", person="Joan", ssh_public_key=line)
    assert (other.status_code, "ssh_public_key" in other.json["errors"]) == (422, True)
    broken = make_custodian(web, admin, name="joan", person="Joan", ssh_public_key="ssh-x AAAA")
    assert (broken.status_code, "ssh_public_key" in broken.json["errors"]) == (422, True)


# --- rules


def test_rules_are_shown_and_get_looser_by_approval(
    web: FlaskClient, world: World, ada: dict[str, str], grace: dict[str, str]
) -> None:
    world.policy.quorum = TWO
    shown = web.get("/v1/policy/quorum", headers=ada).json
    assert QuorumStatusSchema().validate(shown) == {}
    assert shown["in_force"] == shown["file"]
    assert (shown["custodians"], shown["short"], shown["without_spare"]) == (2, False, True)
    nothing = web.post("/v1/policy/quorum/loosening", headers=ada)
    assert (nothing.status_code, nothing.json["code"]) == (409, "nothing-to-loosen")
    world.policy.quorum = QuorumRules()
    assert web.get("/v1/policy/quorum", headers=ada).json["looser"] == ["retire: 1 instead of 2"]
    asked = web.post("/v1/policy/quorum/loosening", headers=ada)
    assert (asked.status_code, asked.json["act"]) == (202, "quorum")
    assert decide(web, asked.json, grace).json["state"] == "executed"
    assert web.get("/v1/policy/quorum", headers=ada).json["in_force"]["people"] == {}
    assert retire(web, ada).status_code == 200
