"""The main job through the running product: sign, attach, verify, and what a caller is told."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import urllib3

from service.domain.digests import Digest
from tests.support.product import Answer, Product
from tests.support.registry import OCI_MANIFEST


def reference(product: Product, repository: str, digest: Digest, tag: str | None = None) -> str:
    return f"{product.registry}/{repository}{':' + tag if tag else ''}@{digest}"


def fresh(product: Product, *, tag: str | None = None) -> tuple[str, str, Digest]:
    """Push an image of its own; return its repository, reference and digest."""
    repository = f"demo/{uuid.uuid4().hex[:12]}"
    files = {"etc/motd": uuid.uuid4().hex.encode(), "bin/app": b"#!/bin/sh\n"}
    digest = product.images.push_image(repository, tag or "1.0", files)
    return repository, reference(product, repository, digest, tag), digest


def sig_manifest(product: Product, repository: str, digest: Digest) -> dict[str, list[dict]]:
    answer = urllib3.request(
        "GET",
        f"http://{product.registry}/v2/{repository}/manifests/sha256-{digest.hex}.sig",
        headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
    )
    assert answer.status == 200
    return dict(answer.json())


def openssl_verifies(tmp_path: Path, pem: str, payload: bytes, signature: bytes) -> bool:
    (tmp_path / "key.pem").write_text(pem)
    (tmp_path / "payload").write_bytes(payload)
    (tmp_path / "signature").write_bytes(signature)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "payload"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_a_signed_image_is_verified_by_us_and_by_openssl_over_what_the_registry_holds(
    product: Product, tmp_path: Path
) -> None:
    repository, image, digest = fresh(product)
    assert product.verdict(image)["verdict"] == "unsigned"

    answer = product.sign(image)

    assert answer.status == 201, answer.body
    assert (answer.body["succeeded"], answer.body["failed"]) == (1, 0)
    result = answer.body["results"][0]
    assert result["digest"] == str(digest)
    assert result["error"] is None
    made, bundle = result["signatures"]
    assert (made["format"], bundle["format"]) == ("cosign", "bundle")
    assert made["key"] == "release"
    assert made["key_version"] == 1
    assert made["algorithm"] == "ecdsa-p256-sha256"
    assert made["log"]["tree_size"] > made["log"]["index"]
    assert made["attachment"]["state"] == "attached"
    (layer,) = sig_manifest(product, repository, digest)["layers"]
    payload = urllib3.request(
        "GET", f"http://{product.registry}/v2/{repository}/blobs/{layer['digest']}"
    ).data
    assert payload == base64.b64decode(made["payload"])
    assert json.loads(payload)["critical"]["image"]["docker-manifest-digest"] == str(digest)
    attached = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    assert attached == base64.b64decode(made["signature"])
    assert openssl_verifies(tmp_path, product.public_key(), payload, attached)
    assert not openssl_verifies(tmp_path, product.public_key(), payload + b" ", attached)
    verdict = product.verdict(image)
    assert verdict["verdict"] == "verified"
    assert verdict["reasons"][0]["code"] == "signature-valid"
    assert [(s["format"], s["key"]) for s in verdict["signatures"]] == [
        ("cosign", "release"),
        ("bundle", "release"),
    ]
    assert verdict["warnings"] == []


def test_a_bundle_lies_at_the_registry_as_it_was_answered(product: Product) -> None:
    repository, image, digest = fresh(product)
    (made,) = product.sign(image, formats=["bundle"]).body["results"][0]["signatures"]
    assert made["attachment"]["state"] == "attached"
    (entry,) = product.images.referrer_entries(repository, digest)
    assert entry["digest"] == made["attachment"]["digest"]
    assert entry["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    stored = product.images.get_manifest(repository, str(entry["digest"]))
    assert stored is not None
    manifest = json.loads(stored.content)
    held = product.images.get_manifest(repository, str(digest))
    assert held is not None
    assert manifest["subject"] == {
        "mediaType": held.media_type,
        "size": len(held.content),
        "digest": str(digest),
    }
    assert manifest["annotations"] == entry["annotations"]
    content = product.images.get_blob(repository, manifest["layers"][0]["digest"])
    assert content is not None
    envelope = json.loads(content)["dsseEnvelope"]
    assert envelope["payload"] == made["payload"]
    assert [one["sig"] for one in envelope["signatures"]] == [made["signature"]]
    statement = json.loads(base64.b64decode(made["payload"]))
    assert statement["predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    assert statement["subject"][0]["digest"] == {"sha256": digest.hex}
    verdict = product.verdict(image)
    assert [(s["format"], s["outcome"]) for s in verdict["signatures"]] == [("bundle", "verified")]


def test_formats_that_cannot_be_made_are_refused(product: Product) -> None:
    _, image, _ = fresh(product)
    refused = product.sign(image, formats=["cosign", "pgp"])
    assert (refused.status, refused.body["code"]) == (422, "unsupported-format")


def test_signing_again_returns_the_signature_that_stands_and_adds_no_layer(
    product: Product,
) -> None:
    repository, image, digest = fresh(product)
    first = product.sign(image).body["results"][0]["signatures"][0]
    second = product.sign(image).body["results"][0]["signatures"][0]
    assert second["id"] == first["id"]
    assert second["signature"] == first["signature"]
    assert len(sig_manifest(product, repository, digest)["layers"]) == 1


def test_force_makes_a_new_signature_that_takes_the_place_of_the_old(product: Product) -> None:
    _, image, _ = fresh(product)
    first = product.sign(image).body["results"][0]["signatures"][0]
    second = product.sign(image, force=True).body["results"][0]["signatures"][0]
    assert second["id"] != first["id"]
    assert product.sign(image).body["results"][0]["signatures"][0]["id"] == second["id"]
    assert product.verdict(image)["verdict"] == "verified"


def test_a_signature_that_was_deleted_at_the_registry_is_put_back_by_signing_again(
    product: Product,
) -> None:
    repository, image, digest = fresh(product)
    signatures = product.sign(image).body["results"][0]["signatures"]
    product.left_alone(digest)
    for made in signatures:
        held = made["attachment"]["digest"]
        path = f"http://{product.registry}/v2/{repository}/manifests/{held}"
        assert urllib3.request("DELETE", path).status == 202
    verdict = product.verdict(image)
    assert verdict["verdict"] == "unsigned"
    assert [warning["code"] for warning in verdict["warnings"]] == ["dead-referrer"]
    assert product.sign(image).status == 201
    verdict = product.verdict(image)
    assert (verdict["verdict"], verdict["warnings"]) == ("verified", [])
    assert len(verdict["signatures"]) == 2
    assert len(sig_manifest(product, repository, digest)["layers"]) == 1
    assert len(product.images.referrer_entries(repository, digest)) == 1


def test_a_batch_keeps_its_order_and_one_bad_item_fails_alone(product: Product) -> None:
    _, good, digest = fresh(product)
    _, other, _ = fresh(product)
    images = [
        {"reference": good, "id": "first"},
        {"reference": "not a reference", "id": "second"},
        {"reference": f"unknown.example/app@{digest}", "id": "third"},
        {"reference": other, "id": "fourth"},
    ]
    answer = product.call("POST", "/v1/signatures", {"images": images})
    assert answer.status == 207
    assert [r["id"] for r in answer.body["results"]] == ["first", "second", "third", "fourth"]
    errors = [r["error"] and r["error"]["code"] for r in answer.body["results"]]
    assert errors == [None, "invalid-reference", "registry-not-configured", None]
    assert (answer.body["succeeded"], answer.body["failed"]) == (2, 2)
    failing = {"images": images, "on_failure": "error"}
    assert product.call("POST", "/v1/signatures", failing).status == 422


def test_a_thousand_digests_are_signed_in_one_request_without_a_registry(
    product: Product, tmp_path: Path
) -> None:
    digests = [Digest.of(str(n).encode()) for n in range(1000)]
    images = [
        {"reference": f"{product.registry}/bulk@{d}", "id": str(n)} for n, d in enumerate(digests)
    ]
    answer = product.call("POST", "/v1/signatures", {"images": images, "attach": False})
    assert answer.status == 201
    assert [r["digest"] for r in answer.body["results"]] == [str(d) for d in digests]
    for number in (0, 499, 999):
        made = answer.body["results"][number]["signatures"][0]
        payload = base64.b64decode(made["payload"])
        assert str(digests[number]).encode() in payload
        signature = base64.b64decode(made["signature"])
        assert openssl_verifies(tmp_path, product.public_key(), payload, signature)
        assert made["attachment"]["state"] == "none"
        assert made["artifact"]["tag"] == f"sha256-{digests[number].hex}.sig"
    too_many = {"images": [*images, images[0]], "attach": False}
    assert product.call("POST", "/v1/signatures", too_many).status == 422


def test_the_artifact_of_an_unattached_signature_can_be_pushed_by_the_caller(
    product: Product,
) -> None:
    repository, image, digest = fresh(product)
    described = {"media_type": OCI_MANIFEST, "size": 401}
    body = {"images": [{"reference": image, "descriptor": described}], "attach": False}
    answer = product.call("POST", "/v1/signatures", body)
    made, bundle = answer.body["results"][0]["signatures"]
    assert product.verdict(image)["verdict"] == "unsigned"
    artifact, referrer = made["artifact"], bundle["artifact"]
    assert referrer["tag"] is None
    assert referrer["subject"] == {**described, "digest": str(digest)}
    manifest = json.loads(base64.b64decode(referrer["manifest"]["content"]))
    assert manifest["subject"]["size"] == 401
    assert [manifest["config"]["digest"], manifest["layers"][0]["digest"]] == [
        blob["digest"] for blob in referrer["blobs"]
    ]
    base = f"http://{product.registry}/v2/{repository}"
    for blob in artifact["blobs"]:
        content = base64.b64decode(blob["content"])
        place = urllib3.request("POST", f"{base}/blobs/uploads/").headers["Location"]
        joint = "&" if "?" in place else "?"
        url = place if place.startswith("http") else f"http://{product.registry}{place}"
        put = urllib3.request("PUT", f"{url}{joint}digest={Digest.of(content)}", body=content)
        assert put.status == 201
    pushed = urllib3.request(
        "PUT",
        f"{base}/manifests/{artifact['tag']}",
        body=base64.b64decode(artifact["manifest"]["content"]),
        headers={"Content-Type": artifact["manifest"]["media_type"]},
    )
    assert pushed.status == 201
    assert product.verdict(image)["verdict"] == "verified"


def test_annotations_and_identity_are_signed(product: Product) -> None:
    repository, image, _ = fresh(product)
    named = f"{product.registry}/{repository}:9.9"
    images = [{"reference": image, "identity": named}]
    body = {"images": images, "annotations": {"org.example.commit": "abc<&>"}, "attach": False}
    made = product.call("POST", "/v1/signatures", body).body["results"][0]["signatures"][0]
    payload = json.loads(base64.b64decode(made["payload"]))
    assert payload["critical"]["identity"]["docker-reference"] == named
    assert payload["optional"] == {"org.example.commit": "abc<&>"}
    reserved = {"images": [{"reference": image}], "annotations": {"dev.sealwright.x": "1"}}
    refused = product.call("POST", "/v1/signatures", reserved)
    assert (refused.status, refused.body["code"]) == (422, "invalid-request")


def test_a_tag_is_resolved_and_one_that_points_elsewhere_is_an_error(product: Product) -> None:
    repository, _, digest = fresh(product, tag="1.0")
    by_tag = product.sign(f"{product.registry}/{repository}:1.0")
    assert by_tag.body["results"][0]["digest"] == str(digest)
    other = Digest.of(b"another")
    refused = product.sign(f"{product.registry}/{repository}:1.0@{other}")
    assert refused.body["code"] == "tag-digest-mismatch"
    missing = product.sign(f"{product.registry}/{repository}:2.0")
    assert missing.body["code"] == "image-not-found"


def test_a_single_failure_is_answered_with_its_own_problem(product: Product) -> None:
    answer = product.sign(f"{product.registry}/demo/app@sha256:short")
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body["code"] == "invalid-reference"
    assert answer.body["type"].endswith("/problems/invalid-reference")
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]


def test_a_repeated_idempotency_key_gives_the_same_answer_and_signs_once(
    product: Product,
) -> None:
    _, image, _ = fresh(product)
    key = uuid.uuid4().hex
    first = product.sign(image, force=True, idempotency_key=key)
    again = product.sign(image, force=True, idempotency_key=key)
    assert first.status == again.status == 201
    ids = [a.body["results"][0]["signatures"][0]["id"] for a in (first, again)]
    assert ids[0] == ids[1]
    other = product.sign(image, idempotency_key=key)
    assert (other.status, other.body["code"]) == (422, "idempotency-key-reused")


def test_a_replay_is_authorised_again_by_the_policy_of_now(product: Product) -> None:
    _, image, _ = fresh(product)
    key = uuid.uuid4().hex
    first = product.sign(image, idempotency_key=key)
    assert first.status == 201
    policy = product.state / "policy.yaml"
    before = policy.read_text()
    closed = json.loads(before)
    closed["signing"]["repositories"] = ["elsewhere.example/**"]
    try:
        policy.write_text(json.dumps(closed))
        # Each worker reads the file again within a second.
        refused = eventually(lambda: product.sign(image, idempotency_key=key), 403)
        assert refused.body["code"] == "policy-denied"
    finally:
        policy.write_text(before)
    # The refusal is none of the results that are kept: what was made is answered again.
    again = eventually(lambda: product.sign(image, idempotency_key=key), 201)
    assert again.body["results"][0]["signatures"] == first.body["results"][0]["signatures"]
    # Others are about to sign, by both workers.
    eventually(lambda: product.sign(image, attach=False), 201, times=20)


def eventually(ask: Callable[[], Answer], status: int, *, times: int = 1) -> Answer:
    """Ask until the answer has the status so often in a row."""
    deadline = time.monotonic() + 60
    seen = 0
    while True:
        answer = ask()
        seen = seen + 1 if answer.status == status else 0
        if seen >= times:
            return answer
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


def test_a_retry_tries_again_only_what_may_succeed(product: Product) -> None:
    repository, _, digest = fresh(product)
    bad = f"{product.registry}/{repository}@{Digest.of(b'never pushed')}"
    body = {"images": [{"reference": reference(product, repository, digest)}, {"reference": bad}]}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = product.call("POST", "/v1/signatures", body, headers=headers)
    again = product.call("POST", "/v1/signatures", body, headers=headers)
    assert first.status == again.status == 207
    assert (
        again.body["results"][0]["signatures"][0]["id"]
        == (first.body["results"][0]["signatures"][0]["id"])
    )
    assert again.body["results"][1]["error"]["code"] == "image-not-found"


@pytest.mark.parametrize("who", ["auditor", "custodian", "admin"])
def test_only_builders_sign(product: Product, who: str) -> None:
    _, image, _ = fresh(product)
    for body in (
        {"images": [{"reference": image}], "key": "release"},
        {"images": [{"reference": image}]},
    ):
        refused = product.call("POST", "/v1/signatures", body, who=who)
        assert (refused.status, refused.body["code"]) == (403, "forbidden")
        assert product.call("POST", "/v1/signatures", body).status == 201


def test_nobody_signs_without_a_credential(product: Product) -> None:
    _, image, _ = fresh(product)
    refused = product.call("POST", "/v1/signatures", {"images": [{"reference": image}]}, who=None)
    assert (refused.status, refused.body["code"]) == (401, "unauthenticated")


def test_keys_of_other_purposes_do_not_sign_images(product: Product) -> None:
    _, image, _ = fresh(product)
    refused = product.sign(image, key="build")
    assert (refused.status, refused.body["code"]) == (409, "key-not-usable")


def test_what_was_signed_is_on_record_for_those_who_may_see_it(product: Product) -> None:
    repository, image, digest = fresh(product)
    made, bundle = product.sign(image).body["results"][0]["signatures"]
    listed = product.call(
        "GET", f"/v1/signatures?repository={product.registry}/{repository}", who="auditor"
    )
    assert {s["id"] for s in listed.body["items"]} == {made["id"], bundle["id"]}
    one = product.call("GET", f"/v1/signatures/{made['id']}", who="auditor")
    assert one.body["digest"] == str(digest)
    attachments = product.call("GET", "/v1/attachments?state=attached", who="auditor")
    assert made["id"] in {a["signature_id"] for a in attachments.body["items"]}
