"""`POST /v1/attestations` at the edge: what of the shape is refused, and what an item's own is."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from service.domain.attestations import COSIGN_SIGN
from service.domain.limits import MAX_PREDICATE_DEPTH
from tests.support.edge import HEX, IMAGE
from tests.support.operations import World
from tests.support.predicates import SLSA, provenance

FAILS = "registry.example.com/fail/{}@sha256:" + HEX


def item(**fields: Any) -> dict[str, Any]:
    return {"image": IMAGE, "predicate_type": SLSA, "predicate": provenance(), **fields}


def post(web: FlaskClient, who: dict[str, str], *items: Any, **fields: Any) -> Any:
    body = {"attestations": list(items), **fields}
    return web.post("/v1/attestations", json=body, headers=who)


def test_the_answer_is_that_of_signing(web: FlaskClient, builder: dict[str, str]) -> None:
    answer = post(web, builder, item(id="42"), item())
    assert answer.status_code == 201
    assert (answer.json["succeeded"], answer.json["failed"]) == (2, 0)
    first, second = answer.json["results"]
    assert (first["id"], second["id"]) == ("42", None)
    [made] = first["signatures"]
    assert (made["format"], made["predicate_type"]) == ("attestation", SLSA)


def test_a_hundred_items_are_taken_and_not_one_more(
    web: FlaskClient, builder: dict[str, str], world: World
) -> None:
    assert post(web, builder, *[item()] * 100).status_code == 201
    for items in ([item()] * 101, []):
        answer = post(web, builder, *items)
        assert (answer.status_code, list(answer.json["errors"])) == (422, ["attestations"])
    assert len(world.attesting.requests) == 1


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"predicate_type": "slsaprovenance1"}, "predicate_type"),
        ({"predicate_type": COSIGN_SIGN}, "predicate_type"),
        ({"predicate_type": 1}, "predicate_type"),
        ({"predicate": []}, "predicate"),
        ({"predicate": "text"}, "predicate"),
        ({"predicate": {"a": 2**53}}, "predicate"),
        ({"predicate": {"a": 10**30}}, "predicate"),
        ({"predicate": nested(MAX_PREDICATE_DEPTH + 1)}, "predicate"),
        ({"image": 1}, "image"),
        ({"recursive": True}, "recursive"),
    ],
)
def test_what_does_not_fit_is_told_by_its_field(
    web: FlaskClient, builder: dict[str, str], world: World, fields: dict[str, Any], field: str
) -> None:
    answer = post(web, builder, item(), item(**fields))
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")
    assert list(answer.json["errors"]["attestations"]["1"]) == [field]
    assert world.attesting.requests == []


def test_as_deep_as_is_allowed_is_taken(web: FlaskClient, builder: dict[str, str]) -> None:
    kind = "https://example.com/tree"
    deep = item(predicate_type=kind, predicate=nested(MAX_PREDICATE_DEPTH))
    assert post(web, builder, deep).status_code == 201
    # Deeper than any parser goes: refused before anybody counts.
    raw = b'{"attestations":[{"predicate":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}]}"
    headers = {**builder, "Content-Type": "application/json"}
    assert web.post("/v1/attestations", data=raw, headers=headers).status_code == 400


def test_a_predicate_that_is_not_what_its_type_says_fails_alone(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    bad = item(predicate={"buildDefinition": {}})
    answer = post(web, builder, bad, item())
    assert answer.status_code == 207
    assert answer.json["results"][0]["error"]["code"] == "invalid-predicate"
    alone = post(web, builder, bad)
    assert (alone.status_code, alone.json["code"]) == (422, "invalid-predicate")
    assert "predicate.runDetails" in alone.json["errors"]
    assert post(web, builder, bad, item(), on_failure="error").status_code == 422


@pytest.mark.parametrize(
    ("code", "status"),
    [("policy-denied", 403), ("registry-unavailable", 503), ("image-not-found", 422)],
)
def test_a_single_failure_is_its_own_problem(
    web: FlaskClient, builder: dict[str, str], code: str, status: int
) -> None:
    answer = post(web, builder, item(image=FAILS.format(code)))
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert ("Retry-After" in answer.headers) is (status == 503)


def test_the_record_tells_what_was_attested(web: FlaskClient, builder: dict[str, str]) -> None:
    assert post(web, builder, item()).status_code == 201
    assert (
        web.post(
            "/v1/signatures", json={"images": [{"reference": IMAGE}]}, headers=builder
        ).status_code
        == 201
    )
    listed = web.get("/v1/signatures", headers=builder).json["items"]
    assert {one["format"]: one.get("predicate_type") for one in listed} == {
        "attestation": SLSA,
        "cosign": None,
    }
