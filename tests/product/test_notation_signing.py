"""Notary Project signatures from the running product."""

from __future__ import annotations

import base64
import json
import uuid

import pytest

from service.domain.digests import Digest
from service.formats.notation import cose, jws
from service.formats.notation.envelope import parse_payload
from tests.support.product import Product

PARSERS = {"notation": jws, "notation-cose": cose}


@pytest.fixture
def image(product: Product) -> str:
    repository = f"notation/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


@pytest.mark.parametrize("form", PARSERS)
def test_an_envelope_is_attached_verified_and_answered_again(
    product: Product, image: str, form: str
) -> None:
    assert product.verdict(image)["verdict"] == "unsigned"
    made = product.sign(image, formats=[form], annotations={"build": "1"})
    assert made.status == 201, made.body
    signature = made.body["results"][0]["signatures"][0]
    assert signature["attachment"]["state"] == "attached"
    found = product.verdict(image)
    assert found["verdict"] == "verified"
    assert [s["format"] for s in found["signatures"]] == [form]
    # A time is signed, and yet the same statement is answered with the same bytes.
    again = product.sign(image, formats=[form], annotations={"build": "1"})
    assert again.body["results"][0]["signatures"][0]["payload"] == signature["payload"]


@pytest.mark.parametrize("form", PARSERS)
def test_what_the_caller_pushes_itself_is_whole(product: Product, form: str) -> None:
    digest = Digest.of(uuid.uuid4().bytes)
    media_type = "application/vnd.oci.image.manifest.v1+json"
    wanted = {
        "reference": f"{product.registry}/nowhere/app@{digest}",
        "descriptor": {"media_type": media_type, "size": 401},
    }
    body = {"images": [wanted], "formats": [form], "attach": False}
    made = product.call("POST", "/v1/signatures", body)
    assert made.status == 201, made.body
    artifact = made.body["results"][0]["signatures"][0]["artifact"]
    manifest = json.loads(base64.b64decode(artifact["manifest"]["content"]))
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.notary.signature"
    assert manifest["subject"] == {"mediaType": media_type, "digest": str(digest), "size": 401}
    blobs = {b["digest"]: base64.b64decode(b["content"]) for b in artifact["blobs"]}
    read = PARSERS[form].parse(blobs[manifest["layers"][0]["digest"]])
    named, _ = parse_payload(read.unverified_payload)
    assert (named.digest, named.size, named.media_type) == (digest, 401, media_type)


@pytest.mark.parametrize(
    ("algorithm", "says"),
    [
        pytest.param("ed25519", "allows no ed25519", id="algorithm"),
        pytest.param("ec-p256", "self-sign", id="no-chain"),
    ],
)
def test_a_key_that_notation_would_refuse_is_refused_with_the_reason(
    product: Product, image: str, algorithm: str, says: str
) -> None:
    key = f"unfit-{uuid.uuid4().hex[:6]}"
    body = {"name": key, "purpose": "image", "algorithm": algorithm}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    person = {"name": key, "person": key, "role": "builder", "repositories": ["**"], "keys": [key]}
    token = product.call("POST", "/v1/credentials", person, who="admin").body["token"]
    refused = product.call(
        "POST",
        "/v1/signatures",
        {"images": [{"reference": image}], "formats": ["notation"], "key": key},
        who=None,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (refused.status, refused.body["code"]) == (422, "unsupported-format")
    assert says in refused.body["detail"]
