"""Attesting with the whole product: through the cycle, at the registry, in the record and the log."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from service.domain.digests import Digest
from tests.support.predicates import CYCLONEDX, GOOD, SLSA, cyclonedx, provenance
from tests.support.product import Answer, Product


@pytest.fixture
def image(product: Product) -> str:
    repository = f"attested/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, files={"app/name": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


def attest(product: Product, *items: tuple[str, str, Any], **fields: Any) -> Answer:
    headers = {}
    key = fields.pop("idempotency_key", None)
    if key is not None:
        headers["Idempotency-Key"] = str(key)
    attestations = [
        {"image": image, "predicate_type": kind, "predicate": predicate}
        for image, kind, predicate in items
    ]
    body = {"attestations": attestations, "key": "build", **fields}
    return product.call("POST", "/v1/attestations", body, headers=headers)


def only(answer: Answer) -> dict[str, Any]:
    assert answer.status == 201, answer.body
    [made] = answer.body["results"][0]["signatures"]
    return dict(made)


def test_each_known_type_is_attested_logged_attached_and_recorded(
    product: Product, image: str
) -> None:
    answer = attest(product, *((image, kind, make()) for kind, make in GOOD.items()))
    assert answer.status == 201, answer.body
    assert (answer.body["succeeded"], answer.body["failed"]) == (len(GOOD), 0)
    name, _, digest = image.partition("@")
    for item, (kind, make) in zip(answer.body["results"], GOOD.items(), strict=True):
        assert (item["reference"], item["digest"], item["children"]) == (image, digest, [])
        [made] = item["signatures"]
        assert (made["format"], made["predicate_type"]) == ("attestation", kind)
        assert (made["key"], made["attachment"]["state"]) == ("build", "attached")
        statement = json.loads(base64.b64decode(made["payload"]))
        assert statement == {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": kind,
            "predicate": make(),
        }
        entry = json.loads(base64.b64decode(made["log"]["entry"]))
        assert (entry["kind"], entry["apiVersion"]) == ("dsse", "0.0.1")
    _, _, repository = name.partition("/")
    listed = product.images.referrer_entries(repository, Digest.parse(digest))
    assert {entry["digest"] for entry in listed} == {
        item["signatures"][0]["attachment"]["digest"] for item in answer.body["results"]
    }
    recorded = product.call("GET", f"/v1/signatures?repository={name}").body["items"]
    assert [one["predicate_type"] for one in reversed(recorded)] == list(GOOD)
    assert {one["annotations"]["dev.sealwright.predicate-type"] for one in recorded} == set(GOOD)
    shown = product.call("GET", f"/v1/signatures/{recorded[0]['id']}").body
    assert shown["payload"] == answer.body["results"][-1]["signatures"][0]["payload"]


def test_what_stands_is_answered_again_unless_forced(product: Product, image: str) -> None:
    first = only(attest(product, (image, SLSA, provenance())))
    again = only(attest(product, (image, SLSA, provenance())))
    assert again["id"] == first["id"]
    other = provenance()
    other["runDetails"]["builder"]["id"] = "https://ci.example.com/builders/8"
    assert only(attest(product, (image, SLSA, other)))["id"] != first["id"]
    forced = only(attest(product, (image, SLSA, provenance()), force=True))
    assert forced["id"] != first["id"]
    assert only(attest(product, (image, SLSA, provenance())))["id"] == forced["id"]


def test_a_repeated_idempotency_key_makes_nothing_twice_even_with_force(
    product: Product, image: str
) -> None:
    key = uuid.uuid4().hex
    wanted = {"force": True, "idempotency_key": key}
    first = only(attest(product, (image, SLSA, provenance()), **wanted))
    assert only(attest(product, (image, SLSA, provenance()), **wanted))["id"] == first["id"]
    other = attest(product, (image, CYCLONEDX, cyclonedx()), **wanted)
    assert (other.status, other.body["code"]) == (422, "idempotency-key-reused")
    # Nor does a request for signatures answer for one of attestations.
    signed = product.sign(image, idempotency_key=key)
    assert (signed.status, signed.body["code"]) == (422, "idempotency-key-reused")


def test_items_fail_alone_and_a_single_failure_is_its_own_problem(
    product: Product, image: str
) -> None:
    bad = provenance()
    del bad["runDetails"]["builder"]
    gone = image.partition("@")[0] + "@sha256:" + "0" * 64
    items = [(image, SLSA, bad), (image, SLSA, provenance()), (gone, SLSA, provenance())]
    answer = attest(product, *items)
    assert answer.status == 207
    codes = [item["error"] and item["error"]["code"] for item in answer.body["results"]]
    assert codes == ["invalid-predicate", None, "image-not-found"]
    assert "predicate.runDetails.builder" in answer.body["results"][0]["error"]["detail"]
    assert attest(product, *items, on_failure="error").status == 422
    alone = attest(product, items[0])
    assert (alone.status, alone.body["code"]) == (422, "invalid-predicate")
    assert alone.body["errors"]["predicate.runDetails.builder.id"] == ["Missing."]


def test_a_key_of_another_purpose_is_refused_both_ways(product: Product, image: str) -> None:
    refused = attest(product, (image, SLSA, provenance()), key="release")
    assert (refused.status, refused.body["code"]) == (409, "key-not-usable")
    signed = product.sign(image, key="build")
    assert (signed.status, signed.body["code"]) == (409, "key-not-usable")
    formats = product.sign(image, key="release", formats=["attestation"])
    assert (formats.status, formats.body["code"]) == (422, "unsupported-format")
    # The controls: each key for its own.
    assert attest(product, (image, SLSA, provenance())).status == 201
    assert product.sign(image, key="release").status == 201


def test_without_attach_the_caller_gets_what_to_push_and_no_registry_is_asked(
    product: Product,
) -> None:
    image = f"{product.registry}/nowhere/app@sha256:{'1' * 64}"
    made = only(attest(product, (image, SLSA, provenance()), attach=False))
    assert made["attachment"]["state"] == "none"
    artifact = made["artifact"]
    manifest = json.loads(base64.b64decode(artifact["manifest"]["content"]))
    assert manifest["subject"]["digest"] == "sha256:" + "1" * 64
    assert manifest["annotations"]["dev.sigstore.bundle.predicateType"] == SLSA
    assert manifest["layers"][0]["digest"] in {blob["digest"] for blob in artifact["blobs"]}


def test_an_attestation_alone_leaves_an_image_unsigned_and_is_told_of(
    product: Product, image: str
) -> None:
    only(attest(product, (image, SLSA, provenance())))
    verdict = product.verdict(image)
    assert (verdict["verdict"], verdict["signatures"]) == ("unsigned", [])
    told = [(a["predicate_type"], a["key"], a["outcome"]) for a in verdict["attestations"]]
    assert told == [(SLSA, "build", "verified")]
    assert product.sign(image).status == 201  # the control
    verdict = product.verdict(image)
    assert verdict["verdict"] == "verified"
    assert {s["key"] for s in verdict["signatures"]} == {"release"}
    assert len(verdict["attestations"]) == 1
    assert verdict["warnings"] == []


def test_a_bill_of_materials_of_megabytes_is_attested_and_listed_and_not_read_at_verification(
    product: Product, image: str
) -> None:
    kind = "https://example.com/files"
    large = {"files": [f"/usr/share/doc/package-{number:06}/copyright" for number in range(70_000)]}
    made = only(attest(product, (image, kind, large)))
    assert len(base64.b64decode(made["payload"])) > 2 * 1024 * 1024
    assert made["attachment"]["state"] == "attached"
    [told] = product.verdict(image)["attestations"]
    assert (told["predicate_type"], told["outcome"]) == (kind, "unknown")
    page = product.call("GET", f"/v1/signatures?digest={image.partition('@')[2]}").body
    assert [one["id"] for one in page["items"]] == [made["id"]]


def test_what_is_said_of_a_tag_is_said_of_the_digest_that_it_points_to(
    product: Product, image: str
) -> None:
    name, _, digest = image.partition("@")
    _, _, repository = name.partition("/")
    stored = product.images.get_manifest(repository, digest)
    assert stored is not None
    product.images.push_manifest(repository, "1.0", stored.content, stored.media_type)
    answer = attest(product, (f"{name}:1.0", SLSA, provenance()))
    assert answer.status == 201
    assert answer.body["results"][0]["digest"] == digest
