"""Trust files over HTTP: public, of the keys that are asked for, and never of compromised ones."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
import yaml
from flask.testing import FlaskClient

from service.domain.callers import Role
from service.domain.clock import SystemClock
from service.domain.keys import Algorithm, Key, KeyState, Purpose
from service.domain.public_keys import public_key
from service.operations import trust_files
from tests.support.operations import World

NAMES = {"country": "CH", "state": "Bern", "organization": "Example"}
ON_IMAGES = (
    *("notation-trust-policy", "containers-policy", "kyverno", "policy-controller", "openshift"),
)


def make(world: World, name: str, purpose: Purpose) -> None:
    key = Key(name, purpose, Algorithm.EC_P256, SystemClock().now())
    world.catalog.create(key, world.maker.generate(name, key.algorithm, None), actor="test")


def change(world: World, **fields: object) -> None:
    key = world.catalog.keys["release"]
    version = replace(key.versions[0], **fields)  # type: ignore[arg-type]
    world.catalog.keys["release"] = replace(key, versions=(version,))


def exported(web: FlaskClient, query: str = "") -> dict[str, bytes]:
    answer = web.get(f"/v1/trust/export{query}")
    assert answer.status_code == 200, answer.json
    return {file["path"]: base64.b64decode(file["content"]) for file in answer.json["files"]}


def test_each_file_is_there_for_everybody_in_its_own_type(web: FlaskClient, world: World) -> None:
    pem = public_key(world.catalog.keys["release"].versions[0].public_key).pem()
    cosign = web.get("/v1/trust/cosign")
    assert (cosign.text, cosign.content_type) == (pem, "application/x-pem-file")
    policy = web.get("/v1/trust/containers-policy").json
    assert list(policy["transports"]["docker"]) == ["registry.example.test"]
    for name in ("kyverno", "policy-controller", "openshift"):
        answer = web.get(f"/v1/trust/{name}?key=release")
        assert answer.content_type == "application/yaml"
        assert yaml.safe_load(answer.data)["metadata"] == {"name": "sealwright"}
    assert web.get("/v1/trust/trusted-root").json["timestampAuthorities"] == []


def test_notations_policy_needs_a_certificate(web: FlaskClient, world: World) -> None:
    refused = web.get("/v1/trust/notation-trust-policy")
    assert refused.json["code"] == "certificate-not-found"
    bearer = world.authorization(Role.CUSTODIAN)
    done = web.post("/v1/keys/release/self-sign", json=NAMES, headers=bearer)
    assert done.status_code in {200, 201}, done.json
    [policy] = web.get("/v1/trust/notation-trust-policy").json["trustPolicies"]
    assert len(policy["trustedIdentities"]) == 1


@pytest.mark.parametrize("name", ["cosign", *ON_IMAGES])
def test_an_unknown_key_and_one_of_another_purpose_are_refused(
    web: FlaskClient, world: World, name: str
) -> None:
    make(world, "log", Purpose.LOG)
    for key, code in (("nobody", "key-not-found"), ("log", "key-not-usable")):
        assert web.get(f"/v1/trust/{name}?key={key}").json["code"] == code


def test_a_key_for_attestations_is_for_cosign_alone(web: FlaskClient, world: World) -> None:
    make(world, "build", Purpose.ATTESTATION)
    assert web.get("/v1/trust/cosign?key=build").status_code == 200
    for name in ON_IMAGES:
        assert web.get(f"/v1/trust/{name}?key=build").json["code"] == "key-not-usable"


@pytest.mark.parametrize("state", [s for s in KeyState if s is not KeyState.COMPROMISED])
def test_a_version_counts_in_every_state_unless_it_was_compromised(
    web: FlaskClient, world: World, state: KeyState
) -> None:
    make(world, "log", Purpose.LOG)
    change(world, state=state)
    files = exported(web, "?key=release")
    assert {"cosign-v1.pub", "kyverno.yaml", "containers/release.gpg"} <= files.keys()
    assert ("cosign.pub" in files) is (state is KeyState.ACTIVE)
    assert web.get("/v1/trust/kyverno").status_code == 200
    no_newest = state is not KeyState.ACTIVE
    for name in ("cosign", "openshift"):
        assert (web.get(f"/v1/trust/{name}").status_code == 409) is no_newest
    change(world, ever_compromised=True)
    assert not {"cosign-v1.pub", "kyverno.yaml"} & exported(web).keys()
    assert web.get("/v1/trust/kyverno").json["code"] == "key-not-usable"


def test_without_any_key_for_images_there_is_nothing_to_trust(
    web: FlaskClient, world: World
) -> None:
    world.catalog.keys.clear()
    assert web.get("/v1/trust/cosign").json["code"] == "key-not-found"


def test_the_key_that_signs_comes_first_and_the_others_beside_it(
    web: FlaskClient, world: World
) -> None:
    make(world, "another", Purpose.IMAGE)
    make(world, "log", Purpose.LOG)
    assert "keys/another/cosign.pub" in exported(web)
    change(world, state=KeyState.SUSPENDED)
    assert "keys/release/cosign-v1.pub" in exported(web)


def test_every_key_is_found_however_many_there_are(
    web: FlaskClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust_files, "MAX_PAGE", 1)
    for name in ("a", "b"):
        make(world, name, Purpose.IMAGE)
    authorities = yaml.safe_load(web.get("/v1/trust/policy-controller").data)["spec"]["authorities"]
    assert {one["name"] for one in authorities} == {"release-v1", "a-v1", "b-v1"}


def test_a_destroyed_key_that_never_certified_itself_is_left_out_of_openpgp(
    web: FlaskClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(world, "log", Purpose.LOG)
    change(world, state=KeyState.DESTROYED)
    certifications = world.operations.openpgp_keys.certifications
    monkeypatch.setattr(type(certifications), "get", lambda self, version: None)
    files = exported(web)
    assert "containers/policy-openpgp.json" not in files
    assert "containers/policy.json" in files


def test_the_list_of_withdrawals_is_the_one_that_stands(web: FlaskClient, world: World) -> None:
    for path in ("withdrawals", "export"):
        assert web.get(f"/v1/trust/{path}").json["code"] == "log-key-missing"
    make(world, "log", Purpose.LOG)
    assert web.get("/v1/trust/withdrawals").json == web.get("/v1/withdrawals").json


def test_the_export_names_the_service_as_it_is_told(web: FlaskClient, world: World) -> None:
    make(world, "log", Purpose.LOG)
    place = "containers/registries.d/sealwright.yaml"
    for query, url in (
        ("", "http://localhost"),
        ("?url=https://s.example/x/", "https://s.example/x"),
    ):
        told = yaml.safe_load(exported(web, query)[place])["docker"]["registry.example.test"]
        assert told["lookaside"] == f"{url}/lookaside/registry.example.test"
    for bad in ("ftp://x", "https://x/%0aEvil", "https://x/ y", "https://"):
        refused = web.get("/v1/trust/export", query_string={"url": bad})
        assert refused.json["code"] == "invalid-request"
