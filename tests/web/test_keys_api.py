from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.keys import KeyState
from tests.support.operations import SoftwareMaker, World

PEM, JWK, JWK_SET = (
    "application/x-pem-file",
    "application/jwk+json",
    "application/jwk-set+json",
)


@pytest.fixture
def rotated(world: World) -> World:
    """`release` has a retired version 1, an active version 2 and a compromised version 3."""
    key = world.catalog.keys["release"]
    [first] = key.versions

    def another(number: int) -> bytes:
        return SoftwareMaker().generate(f"v{number}", key.algorithm, None).public_key

    versions = (
        replace(first, state=KeyState.RETIRED),
        replace(first, version=2, public_key=another(2)),
        replace(
            first,
            version=3,
            public_key=another(3),
            state=KeyState.COMPROMISED,
            ever_compromised=True,
        ),
    )
    world.catalog.keys["release"] = replace(key, versions=versions)
    return world


def test_anybody_may_list_and_read_keys(web: FlaskClient) -> None:
    [listed] = web.get("/v1/keys").json["items"]
    shown = web.get("/v1/keys/release").json
    assert listed == shown
    assert shown.keys() == {"name", "purpose", "algorithm", "created_at", "versions"}
    [version] = shown["versions"]
    assert (version["version"], version["state"]) == (1, "active")
    assert web.get("/v1/keys/release/versions/1").json == version


def test_where_keys_lie_is_shown_to_custodians_and_auditors_only(
    web: FlaskClient, world: World
) -> None:
    for role in Role:
        [version] = web.get("/v1/keys/release", headers=world.authorization(role)).json["versions"]
        sees = role in {Role.CUSTODIAN, Role.AUDITOR}
        assert ("locations" in version, "attributes" in version) == (sees, sees)
    [version] = web.get("/v1/keys/release").json["versions"]
    assert not {"locations", "attributes"} & version.keys()
    [version] = web.get("/v1/keys", headers=world.authorization(Role.AUDITOR)).json["items"][0][
        "versions"
    ]
    assert version["locations"] == [{"token": "test", "serial": "0001", "state": "present"}]
    assert version["attributes"] == {
        "sensitive": True,
        "extractable": None,
        "always_sensitive": None,
        "never_extractable": None,
        "local": None,
    }


def test_keys_are_listed_by_purpose(web: FlaskClient) -> None:
    assert len(web.get("/v1/keys?purpose=image").json["items"]) == 1
    assert web.get("/v1/keys?purpose=log").json["items"] == []
    assert web.get("/v1/keys?purpose=none").status_code == 422


@pytest.mark.parametrize(
    "path", ["none", "none/versions/1", "release/versions/2", "none/public-key"]
)
def test_a_key_or_version_that_is_not_there_is_404(web: FlaskClient, path: str) -> None:
    answer = web.get(f"/v1/keys/{path}")
    assert (answer.status_code, answer.json["code"]) == (404, "key-not-found")


@pytest.mark.parametrize("accept", [None, PEM, "*/*", f"{JWK};q=0.1, {PEM}"])
def test_the_public_key_is_pem_unless_something_else_is_preferred(
    web: FlaskClient, world: World, accept: str | None
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    answer = web.get("/v1/keys/release/public-key", headers=headers)
    assert answer.content_type == PEM
    key = serialization.load_pem_public_key(answer.data)
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert der == world.catalog.keys["release"].versions[0].public_key


def test_the_public_key_as_jwk_is_the_same_key(web: FlaskClient) -> None:
    answer = web.get("/v1/keys/release/public-key", headers={"Accept": JWK})
    assert answer.content_type == JWK
    jwk = json.loads(answer.data)

    def number(name: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big")

    from_jwk = ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1())
    from_pem = serialization.load_pem_public_key(web.get("/v1/keys/release/public-key").data)
    assert isinstance(from_pem, ec.EllipticCurvePublicKey)
    assert from_jwk == from_pem.public_numbers()
    required = json.dumps(
        {name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":")
    )
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(required.encode()).digest())
    assert (jwk["kid"], jwk["use"]) == (thumbprint.rstrip(b"=").decode(), "sig")


@pytest.mark.parametrize("accept", ["application/pkcs8", "image/png"])
def test_a_form_that_does_not_exist_is_406(web: FlaskClient, accept: str) -> None:
    answer = web.get("/v1/keys/release/public-key", headers={"Accept": accept})
    assert (answer.status_code, answer.json["code"]) == (406, "not-acceptable")


def test_the_newest_active_version_is_shown_unless_another_is_named(
    web: FlaskClient, rotated: World
) -> None:
    shown = {v["version"]: v["public_key"] for v in web.get("/v1/keys/release").json["versions"]}
    assert web.get("/v1/keys/release/public-key").text == shown[2]
    assert web.get("/v1/keys/release/public-key?version=1").text == shown[1]
    assert web.get("/v1/keys/release/public-key?all=false").text == shown[2]


def test_all_shows_every_version_that_counts_and_none_that_does_not(
    web: FlaskClient, rotated: World
) -> None:
    shown = {v["version"]: v["public_key"] for v in web.get("/v1/keys/release").json["versions"]}
    assert web.get("/v1/keys/release/public-key?all=true").text == shown[1] + shown[2]
    key_set = web.get("/v1/keys/release/public-key?all=true", headers={"Accept": JWK})
    assert key_set.content_type == JWK_SET
    assert len(json.loads(key_set.data)["keys"]) == 2


@pytest.mark.parametrize("query", ["all=true&version=1", "all=1", "version=0", "version=-1"])
def test_a_question_for_public_keys_that_makes_no_sense_is_refused(
    web: FlaskClient, query: str
) -> None:
    assert web.get(f"/v1/keys/release/public-key?{query}").status_code == 422


def test_the_key_set_holds_every_trusted_version_of_every_key(
    web: FlaskClient, rotated: World
) -> None:
    custodian = rotated.authorization(Role.CUSTODIAN)
    for number in range(3):
        body = {"name": f"k{number}", "purpose": "image"}
        assert web.post("/v1/keys", json=body, headers=custodian).status_code == 201
    answer = web.get("/.well-known/jwks.json")
    assert answer.content_type == JWK_SET
    keys = json.loads(answer.data)["keys"]
    assert len({key["kid"] for key in keys}) == 2 + 3


def test_a_custodian_makes_a_key(web: FlaskClient, world: World) -> None:
    body = {"name": "build", "purpose": "attestation", "algorithm": "ec-p384", "token": "test"}
    answer = web.post("/v1/keys", json=body, headers=world.authorization(Role.CUSTODIAN))
    assert answer.status_code == 201
    assert (answer.json["name"], answer.json["purpose"]) == ("build", "attestation")
    assert answer.json["algorithm"] == "ec-p384"
    assert answer.json["versions"][0]["attributes"]["sensitive"] is True


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "release", "purpose": "image"}, 409, "key-exists"),
        ({"name": "Not OK", "purpose": "image"}, 422, "invalid-request"),
        ({"name": "x", "purpose": "anything"}, 422, "invalid-request"),
        ({"name": "x", "purpose": "image", "algorithm": "dsa"}, 422, "invalid-request"),
        ({"name": "x", "purpose": "image", "size": 1}, 422, "invalid-request"),
        ({"name": "x"}, 422, "invalid-request"),
        ({"name": "x", "purpose": "image", "token": "none"}, 404, "token-not-found"),
        (
            {"name": "x", "purpose": "image", "algorithm": "rsa-4096"},
            422,
            "unsupported-algorithm",
        ),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(
    web: FlaskClient, world: World, body: dict[str, object], status: int, code: str
) -> None:
    answer = web.post("/v1/keys", json=body, headers=world.authorization(Role.CUSTODIAN))
    assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.CUSTODIAN])
def test_nobody_but_a_custodian_makes_keys(web: FlaskClient, world: World, role: Role) -> None:
    body = {"name": "mine", "purpose": "image"}
    answer = web.post("/v1/keys", json=body, headers=world.authorization(role))
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert "mine" not in world.catalog.keys
