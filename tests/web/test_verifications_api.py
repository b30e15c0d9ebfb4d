from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from service.domain.limits import MAX_IMAGES_PER_VERIFICATION
from tests.support.edge import HEX

NAMED = "registry.example.com/verdict/{}@sha256:" + HEX


def test_every_image_gets_a_verdict_in_order(web: FlaskClient, builder: dict[str, str]) -> None:
    names = ["verified", "unsigned", "rejected", "unknown", "silent"]
    body = {"images": [{"reference": NAMED.format(name)} for name in names]}
    answer = web.post("/v1/verifications", json=body, headers=builder)
    assert answer.status_code == 200
    results = answer.json["results"]
    assert [r["verdict"] for r in results] == [*names[:4], "unknown"]
    assert [r["reference"] for r in results] == [i["reference"] for i in body["images"]]
    assert {r["digest"] for r in results} == {f"sha256:{HEX}"}
    verified, unsigned, rejected, unknown, silent = results
    assert verified["signatures"] == [
        {
            "format": "cosign",
            "key": "release",
            "key_version": 1,
            "identity": None,
            "certificate_identity": None,
            "certificate_issuer": None,
            "policy": None,
            "created_at": None,
            "outcome": "verified",
            "reason": {"code": "signature-valid", "text": "because of signature-valid"},
        }
    ]
    assert unsigned["signatures"] == []
    assert rejected["signatures"][0]["outcome"] == "rejected"
    assert unknown["signatures"][0]["outcome"] == "unknown"
    assert silent["reasons"] == [
        {"code": "registry-unavailable", "text": "429", "retry_after": 7.0}
    ]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"images": []},
        {"images": ["registry.example.com/a"]},
        {"images": [{"reference": "a", "id": "b"}]},
        {"images": [{"reference": "a"}], "key": "release"},
        {"images": [{"reference": "a"}] * (MAX_IMAGES_PER_VERIFICATION + 1)},
    ],
)
def test_a_request_of_the_wrong_shape_is_refused(
    web: FlaskClient, builder: dict[str, str], body: dict[str, object]
) -> None:
    answer = web.post("/v1/verifications", json=body, headers=builder)
    assert (answer.status_code, answer.json["code"]) == (422, "invalid-request")


def test_the_most_images_of_one_request_are_answered(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    body = {"images": [{"reference": "not an image"}] * MAX_IMAGES_PER_VERIFICATION}
    results = web.post("/v1/verifications", json=body, headers=builder).json["results"]
    assert [r["verdict"] for r in results] == ["unknown"] * MAX_IMAGES_PER_VERIFICATION


def test_with_recursive_an_index_is_told_manifest_by_manifest(
    web: FlaskClient, builder: dict[str, str]
) -> None:
    body = {"images": [{"reference": NAMED.format("index")}]}
    (alone,) = web.post("/v1/verifications", json=body, headers=builder).json["results"]
    assert (alone["verdict"], alone["n_of_n"], alone["children"]) == ("verified", None, [])
    assert alone["warnings"] == [
        {"code": "foreign-bundle", "text": "beside ours", "cure": "sign again"}
    ]
    recursive = {**body, "recursive": True}
    (whole,) = web.post("/v1/verifications", json=recursive, headers=builder).json["results"]
    assert (whole["verdict"], whole["n_of_n"]) == ("unsigned", "1 of 2")
    assert whole["reasons"][0]["code"] == "child-not-verified"
    assert [(one["platform"], one["verdict"]) for one in whole["children"]] == [
        ("linux/amd64", "verified"),
        ("linux/arm64", "unsigned"),
    ]
