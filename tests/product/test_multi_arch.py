"""An index and everything in it: signed in one batch, verified n of n, a new platform seen."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from service.domain.digests import Digest
from tests.support.product import Product
from tests.support.registry import OCI_INDEX, OCI_MANIFEST


def pushed(product: Product, repository: str, *platforms: str) -> list[Digest]:
    return [
        product.images.push_image(
            repository, files={"arch": name.encode()}, architecture=name.rpartition("/")[2]
        )
        for name in platforms
    ]


def indexed(product: Product, *platforms: str) -> tuple[str, str, Digest, list[Digest]]:
    """Push an index of its own: repository, reference, digest, children."""
    repository = f"multi/{uuid.uuid4().hex[:12]}"
    children = pushed(product, repository, *platforms)
    digest = product.images.push_index(repository, children, "1.0")
    return repository, f"{product.registry}/{repository}:1.0@{digest}", digest, children


def verdict(product: Product, reference: str) -> dict[str, Any]:
    body = {"images": [{"reference": reference}], "recursive": True}
    answer = product.call("POST", "/v1/verifications", body)
    assert answer.status == 200, answer.body
    return dict(answer.body["results"][0])


def test_an_index_and_every_manifest_in_it_are_signed_and_verified(product: Product) -> None:
    repository, image, digest, children = indexed(product, "amd64", "arm64")
    assert (verdict(product, image)["verdict"], verdict(product, image)["n_of_n"]) == (
        "unsigned",
        "0 of 2",
    )
    answer = product.sign(image, recursive=True)
    assert answer.status == 201, answer.body
    assert (answer.body["succeeded"], answer.body["failed"]) == (1, 0)
    (result,) = answer.body["results"]
    assert result["digest"] == str(digest)
    assert [child["digest"] for child in result["children"]] == [str(c) for c in children]
    assert [child["platform"] for child in result["children"]] == ["linux/amd64", "linux/arm64"]
    for item in (result, *result["children"]):
        assert [made["format"] for made in item["signatures"]] == ["cosign", "bundle"]
        assert {made["attachment"]["state"] for made in item["signatures"]} == {"attached"}
        payload = json.loads(base64.b64decode(item["signatures"][0]["payload"]))
        assert payload["critical"]["image"]["docker-manifest-digest"] == item["digest"]
        # cosign's identity of a child is its repository, as that of the index.
        identity = payload["critical"]["identity"]["docker-reference"]
        assert identity == f"{product.registry}/{repository}"
    whole = verdict(product, image)
    assert (whole["verdict"], whole["n_of_n"]) == ("verified", "2 of 2")
    assert [child["verdict"] for child in whole["children"]] == ["verified", "verified"]
    alone = product.verdict(f"{product.registry}/{repository}@{children[1]}")
    assert alone["verdict"] == "verified"


def test_where_the_format_wants_the_tag_each_manifest_claims_that_of_the_index(
    product: Product,
) -> None:
    repository, image, _, _ = indexed(product, "amd64", "arm64")
    result = product.sign(image, recursive=True, formats=["openpgp"]).body["results"][0]
    for item in (result, *result["children"]):
        (made,) = item["signatures"]
        payload = base64.b64decode(made["payload"])
        assert f'"docker-reference":"{product.registry}/{repository}:1.0"'.encode() in payload
        assert f'"docker-manifest-digest":"{item["digest"]}"'.encode() in payload


def test_signing_again_makes_nothing_new(product: Product) -> None:
    _, image, _, _ = indexed(product, "amd64", "arm64")
    first, second = (product.sign(image, recursive=True).body["results"][0] for _ in range(2))
    for before, after in zip(
        (first, *first["children"]), (second, *second["children"]), strict=True
    ):
        assert [s["id"] for s in before["signatures"]] == [s["id"] for s in after["signatures"]]


def test_a_platform_that_is_added_later_is_seen_and_signed_alone(product: Product) -> None:
    repository, image, _, children = indexed(product, "amd64", "arm64")
    before = product.sign(image, recursive=True).body["results"][0]
    (added,) = pushed(product, repository, "riscv64")
    grown = product.images.push_index(repository, [*children, added], "1.0")
    tagged = f"{product.registry}/{repository}:1.0"
    whole = verdict(product, tagged)
    assert (whole["digest"], whole["verdict"]) == (str(grown), "unsigned")
    assert whole["n_of_n"] == "2 of 3"
    lacking = [r["text"] for r in whole["reasons"] if r["code"] == "child-not-verified"]
    assert [str(added) in text for text in lacking] == [True]
    after = product.sign(f"{tagged}@{grown}", recursive=True).body["results"][0]
    assert [s["id"] for s in after["children"][0]["signatures"]] == [
        s["id"] for s in before["children"][0]["signatures"]
    ]
    assert verdict(product, tagged)["n_of_n"] == "3 of 3"


def test_an_index_that_is_signed_alone_is_not_verified_recursively(product: Product) -> None:
    _, image, _, _ = indexed(product, "amd64", "arm64")
    assert product.sign(image).status == 201
    assert product.verdict(image)["verdict"] == "verified"
    whole = verdict(product, image)
    assert (whole["verdict"], whole["n_of_n"]) == ("unsigned", "0 of 2")


def test_an_image_that_is_no_index_has_no_children(product: Product) -> None:
    repository = f"multi/{uuid.uuid4().hex[:12]}"
    (digest,) = pushed(product, repository, "amd64")
    image = f"{product.registry}/{repository}@{digest}"
    answer = product.sign(image, recursive=True)
    assert (answer.status, answer.body["results"][0]["children"]) == (201, [])
    whole = verdict(product, image)
    assert (whole["verdict"], whole["n_of_n"], whole["children"]) == ("verified", None, [])


def test_an_attestation_in_the_index_as_buildx_lists_it_is_signed_with_it(
    product: Product,
) -> None:
    repository = f"multi/{uuid.uuid4().hex[:12]}"
    (digest,) = pushed(product, repository, "amd64")
    images = product.images
    blob = images.push_blob(repository, b'{"_type":"https://in-toto.io/Statement/v0.1"}')
    config = images.push_blob(repository, b'{"architecture":"unknown","os":"unknown"}')
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": 41,
                "digest": str(config),
            },
            "layers": [
                {"mediaType": "application/vnd.in-toto+json", "size": 45, "digest": str(blob)}
            ],
        }
    ).encode()
    attestation = images.push_manifest(repository, str(Digest.of(manifest)), manifest)
    held = images.get_manifest(repository, str(digest))
    assert held is not None
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "mediaType": OCI_MANIFEST,
                    "size": len(held.content),
                    "digest": str(digest),
                    "platform": {"architecture": "amd64", "os": "linux"},
                },
                {
                    "mediaType": OCI_MANIFEST,
                    "size": len(manifest),
                    "digest": str(attestation),
                    "platform": {"architecture": "unknown", "os": "unknown"},
                    "annotations": {
                        "vnd.docker.reference.digest": str(digest),
                        "vnd.docker.reference.type": "attestation-manifest",
                    },
                },
            ],
        }
    ).encode()
    images.push_manifest(repository, "1.0", index, OCI_INDEX)
    image = f"{product.registry}/{repository}:1.0@{Digest.of(index)}"
    answer = product.sign(image, recursive=True)
    assert answer.status == 201, answer.body
    children = answer.body["results"][0]["children"]
    assert [child["platform"] for child in children] == ["linux/amd64", "unknown/unknown"]
    assert verdict(product, image)["n_of_n"] == "2 of 2"


def test_an_index_in_an_index_is_signed_with_all_that_is_in_it(product: Product) -> None:
    repository, _, inner, children = indexed(product, "amd64", "arm64")
    outer = product.images.push_index(repository, [inner], "outer")
    image = f"{product.registry}/{repository}@{outer}"
    result = product.sign(image, recursive=True).body["results"][0]
    assert [c["digest"] for c in result["children"]] == [str(d) for d in (inner, *children)]
    assert verdict(product, image)["n_of_n"] == "3 of 3"


def test_without_attaching_each_manifest_has_what_to_push(product: Product) -> None:
    _, image, digest, children = indexed(product, "amd64", "arm64")
    result = product.sign(image, recursive=True, attach=False).body["results"][0]
    subjects = []
    for item in (result, *result["children"]):
        layer, bundle = (made["artifact"] for made in item["signatures"])
        assert layer["tag"] == f"sha256-{item['digest'].removeprefix('sha256:')}.sig"
        subjects.append(bundle["subject"])
    assert [s["digest"] for s in subjects] == [str(d) for d in (digest, *children)]
    assert [s["media_type"] for s in subjects] == [OCI_INDEX, OCI_MANIFEST, OCI_MANIFEST]
    assert all(s["size"] > 0 for s in subjects)
    assert verdict(product, image)["n_of_n"] == "0 of 2"


def test_a_replayed_request_gives_the_children_as_they_were(product: Product) -> None:
    _, image, _, _ = indexed(product, "amd64", "arm64")
    wanted = {"recursive": True, "force": True, "idempotency_key": uuid.uuid4().hex}
    first, again = (product.sign(image, **wanted) for _ in range(2))
    assert first.status == again.status == 201
    children = [answer.body["results"][0]["children"] for answer in (first, again)]
    assert [c["platform"] for c in children[1]] == ["linux/amd64", "linux/arm64"]
    ids = [[s["id"] for c in found for s in c["signatures"]] for found in children]
    assert ids[0] == ids[1]
