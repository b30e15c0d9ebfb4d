"""The life of keys at the edge: rotation, states, adoption, findings."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.keys import NEXT_STATES, Attributes, GeneratedKey, KeyState, Location
from service.web import create_app
from tests.support.operations import World, new_world, spki

URI = "pkcs11:token=test;object=old"
WAY_TO: dict[KeyState, tuple[KeyState, ...]] = {
    KeyState.STAGED: (),
    KeyState.ACTIVE: (KeyState.ACTIVE,),
    KeyState.SUSPENDED: (KeyState.ACTIVE, KeyState.SUSPENDED),
    KeyState.RETIRED: (KeyState.ACTIVE, KeyState.RETIRED),
    KeyState.COMPROMISED: (KeyState.COMPROMISED,),
    KeyState.DESTROYED: (KeyState.DESTROYED,),
}


@pytest.fixture
def custodian(world: World) -> dict[str, str]:
    return world.authorization(Role.CUSTODIAN)


@pytest.fixture
def custody(web: FlaskClient, custodian: dict[str, str]) -> Any:
    """Posts below `/v1/keys` as a custodian."""

    def post(path: str, **body: Any) -> Any:
        return web.post(f"/v1/keys{path}", json=body, headers=custodian)

    return post


def test_rotation_needs_no_body_and_reads_one_that_is_there(
    web: FlaskClient, custodian: dict[str, str]
) -> None:
    plain = web.post("/v1/keys/release/versions", headers=custodian)
    assert (plain.status_code, plain.json["version"], plain.json["state"]) == (201, 2, "active")
    other = web.post("/v1/keys/release/versions", data=b"state: staged", headers=custodian)
    assert (other.status_code, other.json["code"]) == (415, "unsupported-media-type")


def states(web: FlaskClient, name: str = "release") -> dict[int, str]:
    return {v["version"]: v["state"] for v in web.get(f"/v1/keys/{name}").json["versions"]}


def test_rotation_answers_with_the_new_version_and_retires_the_old(
    web: FlaskClient, custody: Any
) -> None:
    answer = custody("/release/versions")
    assert answer.status_code == 201
    assert (answer.json["key"], answer.json["version"], answer.json["state"]) == (
        "release",
        2,
        "active",
    )
    assert answer.json["algorithm"] == "ec-p256"
    assert answer.json["locations"] == [{"token": "test", "serial": "0001", "state": "present"}]
    assert bytes.fromhex(answer.json["cka_id"])
    assert states(web) == {1: "retired", 2: "active"}
    assert web.get("/v1/keys/release/public-key").text == answer.json["public_key"]


def test_a_version_may_be_of_another_kind_and_the_key_stays_what_it_was(
    web: FlaskClient, custody: Any
) -> None:
    assert custody("/release/versions", algorithm="ec-p384").json["algorithm"] == "ec-p384"
    key = web.get("/v1/keys/release").json
    assert (key["algorithm"], [v["algorithm"] for v in key["versions"]]) == (
        "ec-p256",
        ["ec-p256", "ec-p384"],
    )
    assert custody("/release/versions").json["algorithm"] == "ec-p256"


def test_staged_and_alongside(web: FlaskClient, custody: Any) -> None:
    assert custody("/release/versions", state="staged").json["state"] == "staged"
    assert custody("/release/versions", alongside=True).json["state"] == "active"
    assert states(web) == {1: "active", 2: "staged", 3: "active"}
    moved = custody("/release/versions/2/state", state="active", reason="the day has come")
    assert (moved.status_code, moved.json["state"]) == (200, "active")
    assert states(web) == {1: "retired", 2: "active", 3: "retired"}
    assert (
        custody("", name="next", purpose="image", state="staged").json["versions"][0]["state"]
        == "staged"
    )
    assert web.get("/v1/keys/next/public-key").json["code"] == "key-not-usable"
    assert web.get("/v1/keys/next/public-key?all=true").status_code == 200


@pytest.mark.parametrize(
    ("old", "new"),
    [pytest.param(*p, id="-to-".join(p)) for p in itertools.product(KeyState, KeyState)],
)
def test_each_move_is_200_or_409_as_the_table_says(
    web: FlaskClient, custody: Any, old: KeyState, new: KeyState
) -> None:
    number = custody("/release/versions", state="staged").json["version"]
    for state in WAY_TO[old]:
        assert custody(f"/release/versions/{number}/state", state=state).status_code == 200
    answer = custody(f"/release/versions/{number}/state", state=new)
    if new in NEXT_STATES[old]:
        assert (answer.status_code, answer.json["state"]) == (200, new)
        assert states(web)[number] == new
    else:
        assert (answer.status_code, answer.json["code"]) == (409, "key-move-forbidden")
        assert set(answer.json["allowed"]) == set(NEXT_STATES[old])
        assert all(state in answer.json["detail"] for state in NEXT_STATES[old])
        assert states(web)[number] == old


def test_a_compromise_tells_since_when_and_is_found_and_leaves_every_listing(
    web: FlaskClient, world: World, custody: Any
) -> None:
    custody("/release/versions")
    old = web.get("/v1/keys/release").json["versions"][0]
    moved = custody(
        "/release/versions/1/state",
        state="compromised",
        since="2026-01-02T03:04:05Z",
        reason="laptop lost",
    )
    assert (moved.status_code, moved.json["compromised"]) == (200, True)
    assert moved.json["compromised_since"] == "2026-01-02T03:04:05.000Z"
    assert old["public_key"] not in web.get("/v1/keys/release/public-key?all=true").text
    assert len(web.get("/.well-known/jwks.json").json["keys"]) == 1
    custody("/release/versions/1/state", state="destroyed")
    shown = web.get("/v1/keys/release/versions/1").json
    assert (shown["state"], shown["compromised"]) == ("destroyed", True)
    assert len(web.get("/.well-known/jwks.json").json["keys"]) == 1
    for role in Role:
        answer = web.get("/v1/findings", headers=world.authorization(role))
        if role in {Role.AUDITOR, Role.CUSTODIAN, Role.ADMIN}:
            [finding] = answer.json["items"]
            assert (finding["code"], finding["severity"], finding["subject"]) == (
                "key-compromised",
                "critical",
                "release/1",
            )
            assert finding["closed"] is None
        else:
            assert answer.status_code == 403


def test_findings_are_asked_for_by_state_code_and_severity(web: FlaskClient, world: World) -> None:
    auditor = world.authorization(Role.AUDITOR)

    def count(query: str) -> int:
        return len(web.get(f"/v1/findings?{query}", headers=auditor).json["items"])

    custodian = world.authorization(Role.CUSTODIAN)
    web.post("/v1/keys/release/versions/1/state", json={"state": "compromised"}, headers=custodian)
    assert [count(q) for q in ("state=open", "state=closed")] == [1, 0]
    assert [count(q) for q in ("code=key-compromised", "code=other")] == [1, 0]
    assert [count(q) for q in ("severity=critical", "severity=low")] == [1, 0]
    assert web.get("/v1/findings?state=ajar", headers=auditor).status_code == 422


def test_a_honourably_destroyed_version_still_counts(web: FlaskClient, custody: Any) -> None:
    custody("/release/versions")
    assert custody("/release/versions/1/state", state="destroyed").status_code == 200
    assert len(web.get("/.well-known/jwks.json").json["keys"]) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/none/versions", {}, 404, "key-not-found"),
        ("/release/versions", {"state": "retired"}, 422, "invalid-request"),
        ("/release/versions", {"algorithm": "dsa"}, 422, "invalid-request"),
        ("/release/versions", {"alongside": "yes"}, 422, "invalid-request"),
        ("/release/versions", {"token": "none"}, 404, "token-not-found"),
        ("/release/versions", {"purpose": "log"}, 422, "invalid-request"),
        ("/release/versions/9/state", {"state": "retired"}, 404, "key-not-found"),
        ("/none/versions/1/state", {"state": "retired"}, 404, "key-not-found"),
        ("/release/versions/1/state", {"state": "gone"}, 422, "invalid-request"),
        ("/release/versions/1/state", {}, 422, "invalid-request"),
        ("/release/versions/1/state", {"state": "staged"}, 409, "key-move-forbidden"),
        (
            "/release/versions/1/state",
            {"state": "suspended", "since": "2026-01-01T00:00:00Z"},
            422,
            "invalid-request",
        ),
        (
            "/release/versions/1/state",
            {"state": "compromised", "since": "2999-01-01T00:00:00Z"},
            422,
            "invalid-request",
        ),
        (
            "/release/versions/1/state",
            {"state": "compromised", "since": "yesterday"},
            422,
            "invalid-request",
        ),
        (
            "/release/versions/1/state",
            {"state": "suspended", "reason": "a\nb"},
            422,
            "invalid-request",
        ),
        ("/x/adopt", {"uri": URI, "public_key": "no key"}, 422, "invalid-request"),
        ("/X/adopt", {"uri": URI, "public_key": "no key"}, 422, "invalid-request"),
        ("/x/adopt", {"uri": URI}, 422, "invalid-request"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(
    web: FlaskClient, custody: Any, *, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = custody(path, **body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert states(web) == {1: "active"}


@pytest.mark.parametrize(
    ("purpose", "algorithm", "status"),
    [
        ("log", "ec-p384", 422),
        ("log", "ed25519", 422),
        ("timestamp", "ed25519", 422),
        ("log", "ec-p256", 201),
        ("timestamp", "ec-p384", 201),
        ("image", "ed25519", 201),
    ],
)
def test_a_purpose_takes_the_kinds_that_its_verifiers_accept(
    custody: Any, purpose: str, algorithm: str, status: int
) -> None:
    answer = custody("", name="k", purpose=purpose, algorithm=algorithm)
    assert answer.status_code == status
    if status == 422:
        assert answer.json["code"] == "unsupported-algorithm"


def test_a_rotation_may_not_leave_the_kinds_of_the_purpose(custody: Any) -> None:
    assert custody("", name="log", purpose="log").status_code == 201
    refused = custody("/log/versions", algorithm="ec-p384")
    assert (refused.status_code, refused.json["code"]) == (422, "unsupported-algorithm")
    assert custody("/log/versions").status_code == 201


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CUSTODIAN])
def test_nobody_but_a_custodian_changes_keys(web: FlaskClient, world: World, role: Role) -> None:
    headers = world.authorization(role)
    for path, body in (
        ("/release/versions", {}),
        ("/release/versions/1/state", {"state": "suspended"}),
        ("/release/adopt", {"uri": URI, "public_key": "x"}),
    ):
        answer = web.post(f"/v1/keys{path}", json=body, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert states(web) == {1: "active"}
    assert [event.action for event in world.audit.events][-3:] == ["custody.refused"] * 3


def test_what_a_custodian_was_refused_is_in_the_audit_trail(custody: Any, world: World) -> None:
    custody("/release/versions/1/state", state="destroyed")
    event = world.audit.events[-1]
    assert (event.action, event.actor, event.subject) == (
        "custody.refused",
        "custodian",
        "release/1",
    )
    assert event.details["code"] == "key-move-forbidden"


def test_destruction_is_begun_on_record_before_the_token_is_asked(
    custody: Any, world: World
) -> None:
    custody("/release/versions")
    custody("/release/versions/1/state", state="destroyed", reason="end of life")
    assert world.maker.destroyed == ["release/1"]
    begun = [e for e in world.audit.events if e.action == "key.destruction-begun"]
    assert [(e.subject, e.details["reason"]) for e in begun] == [("release/1", "end of life")]


# --- adoption


def lying(
    world: World, uri: str = URI, *, token: str = "test", cka_id: bytes = b"\x01", key: Any = None
) -> str:
    """Put a key of others on a token; return its public key as PEM."""
    public = (key or ec.generate_private_key(ec.SECP256R1())).public_key()
    world.maker.lying[uri] = GeneratedKey(
        cka_id, spki(public), Location(token, "0001"), Attributes(True, False)
    )
    return str(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()
    )


def test_a_new_name_makes_a_key_of_what_is_adopted(
    web: FlaskClient, world: World, custody: Any
) -> None:
    pem = lying(world)
    answer = custody("/old/adopt", uri=URI, public_key=pem)
    assert answer.status_code == 201
    assert (answer.json["name"], answer.json["purpose"]) == ("old", "image")
    [version] = answer.json["versions"]
    assert (version["public_key"], version["cka_id"]) == (pem, "01")
    assert web.get("/v1/keys/old/public-key").text == pem


def test_under_a_name_that_exists_it_is_a_new_version(
    web: FlaskClient, world: World, custody: Any
) -> None:
    pem = lying(world)
    answer = custody("/release/adopt", uri=URI, public_key=pem, alongside=True)
    assert (answer.status_code, answer.json["key"], answer.json["version"]) == (201, "release", 2)
    assert states(web) == {1: "active", 2: "active"}


def test_the_same_key_on_another_token_is_one_more_location(world: World, custody: Any) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = lying(world, key=key)
    assert custody("/old/adopt", uri=URI, public_key=pem).status_code == 201
    again = custody("/old/adopt", uri=URI, public_key=pem)
    assert (again.status_code, again.json["code"]) == (409, "public-key-taken")
    lying(world, "pkcs11:token=clone", token="clone", key=key, cka_id=b"\x02")
    other_id = custody("/old/adopt", uri="pkcs11:token=clone", public_key=pem)
    assert (other_id.status_code, other_id.json["code"]) == (422, "key-not-adoptable")
    lying(world, "pkcs11:token=clone", token="clone", key=key)
    placed = custody("/old/adopt", uri="pkcs11:token=clone", public_key=pem)
    assert placed.status_code == 200
    assert [place["token"] for place in placed.json["locations"]] == ["test", "clone"]
    other_name = custody("/new/adopt", uri=URI, public_key=pem)
    assert (other_name.status_code, other_name.json["code"]) == (409, "public-key-taken")
    custody("/old/versions/1/state", state="compromised")
    lying(world, "pkcs11:token=third", token="third", key=key)
    gone = custody("/old/adopt", uri="pkcs11:token=third", public_key=pem)
    assert (gone.status_code, "compromised" in gone.json["detail"]) == (409, True)


def test_an_adopted_key_keeps_the_purpose_that_its_name_has(world: World, custody: Any) -> None:
    custody("", name="build", purpose="attestation")
    pem = lying(world)
    mixed = custody("/build/adopt", uri=URI, public_key=pem, purpose="image")
    assert (mixed.status_code, mixed.json["code"]) == (409, "key-not-usable")
    assert custody("/build/adopt", uri=URI, public_key=pem).status_code == 201


def test_a_log_key_is_not_adopted_in_a_kind_that_no_client_accepts(
    world: World, custody: Any
) -> None:
    pem = lying(world, key=ec.generate_private_key(ec.SECP384R1()))
    refused = custody("/log/adopt", uri=URI, public_key=pem, purpose="log")
    assert (refused.status_code, refused.json["code"]) == (422, "unsupported-algorithm")


def test_a_key_that_can_leave_its_token_needs_the_policy_and_the_wish() -> None:
    for allowed, wished, status, code in (
        (False, False, 422, "key-unprotected"),
        (False, True, 403, "policy-denied"),
        (True, False, 422, "key-unprotected"),
        (True, True, 201, None),
    ):
        world = new_world(allow_extractable=allowed)
        web = create_app(world.operations, version="1").test_client()
        pem = lying(world)
        known = world.maker.lying[URI]
        world.maker.lying[URI] = GeneratedKey(
            known.cka_id, known.public_key, known.location, Attributes(True, True)
        )
        answer = web.post(
            "/v1/keys/old/adopt",
            json={"uri": URI, "public_key": pem, "allow_extractable": wished},
            headers=world.authorization(Role.CUSTODIAN),
        )
        assert (answer.status_code, answer.json.get("code")) == (status, code)


def test_since_may_be_now(custody: Any) -> None:
    now = (datetime.now(UTC) - timedelta(milliseconds=5)).isoformat()
    assert custody("/release/versions/1/state", state="compromised", since=now).status_code == 200


# --- withdrawals


def test_without_a_log_key_the_list_is_503_and_says_what_to_do(web: FlaskClient) -> None:
    answer = web.get("/v1/withdrawals")
    assert (answer.status_code, answer.json["code"]) == (503, "log-key-missing")
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json["retryable"] is False


def test_anybody_reads_the_list_and_a_compromise_is_in_it_at_once(
    web: FlaskClient, custody: Any
) -> None:
    custody("", name="log", purpose="log")
    before = web.get("/v1/withdrawals").json
    assert (before["sequence"], before["items"], before["checkpoint"]) == (1, [], None)
    assert web.get("/v1/withdrawals").json == before
    custody("/release/versions/1/state", state="compromised")
    after = web.get("/v1/withdrawals").json
    assert (after["sequence"], [item["key"] for item in after["items"]]) == (2, ["release"])
