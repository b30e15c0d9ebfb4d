"""Twenty signatures attached to one image at once, foreign read-modify-write clients among them.

docker-registry ignores If-Match, so a foreign writer that read the old list overwrites ours;
the outbox looks again and puts it back.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.domain.digests import Digest
from tests.support.product import Product
from tests.support.registry import OCI_INDEX, OCI_MANIFEST

OURS = 20
FOREIGN = 6
SETTLE_SECONDS = 60
EMPTY = str(Digest.of(b"{}"))
ANNOTATION = "dev.cosignproject.cosign/signature"


def foreign_write(product: Product, repository: str, digest: Digest, number: int) -> None:
    """Read the list, dawdle, and write it back with one more layer: what cosign does."""
    images = product.images
    payload = json.dumps({"foreign": number, "nonce": uuid.uuid4().hex}).encode()
    blob = images.push_blob(repository, payload)
    held = images.get_manifest(repository, f"sha256-{digest.hex}.sig")
    time.sleep(0.3)
    layer = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "size": len(payload),
        "digest": str(blob),
        "annotations": {ANNOTATION: base64.b64encode(b"foreign").decode()},
    }
    if held is None:
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": 2,
                "digest": str(Digest.of(b"{}")),
            },
            "layers": [layer],
        }
    else:
        manifest = json.loads(held.content)
        manifest["layers"].append(layer)
    images.push_manifest(repository, f"sha256-{digest.hex}.sig", json.dumps(manifest).encode())


def foreign_referrer(product: Product, repository: str, digest: Digest, number: int) -> None:
    """Push a manifest and list it: read the index, dawdle, write it back with one more."""
    images = product.images
    subject = {"mediaType": OCI_MANIFEST, "size": 401, "digest": str(digest)}
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": EMPTY}
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.example.foreign",
            "config": empty,
            "layers": [empty],
            "subject": subject,
            "annotations": {"foreign": str(number), "nonce": uuid.uuid4().hex},
        }
    ).encode()
    pushed = images.push_manifest(repository, str(Digest.of(manifest)), manifest)
    listed = images.referrer_entries(repository, digest)
    time.sleep(0.3)
    entry = {"mediaType": OCI_MANIFEST, "size": len(manifest), "digest": str(pushed)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*listed, entry]}
    images.push_manifest(repository, f"sha256-{digest.hex}", json.dumps(index).encode(), OCI_INDEX)


def ours_at_the_registry(product: Product, repository: str, digest: Digest) -> set[str]:
    """Return the digests of the manifests that are listed, and the signatures in the layers."""
    layers = product.images.signature_layers(repository, digest)
    entries = product.images.referrer_entries(repository, digest)
    in_layers = {str(dict(layer["annotations"])[ANNOTATION]) for layer in layers}  # type: ignore[call-overload]
    return in_layers | {str(entry["digest"]) for entry in entries}


def test_every_signature_of_ours_is_there_at_the_end(product: Product) -> None:
    repository = f"race/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}@{digest}"
    # Once, beforehand: docker-registry mixes up concurrent uploads of one blob.
    product.images.push_blob(repository, b"{}")

    def ours(number: int) -> tuple[str, str]:
        answer = product.sign(image, annotations={"build": str(number)})
        assert answer.status == 201, answer.body
        layer, bundle = answer.body["results"][0]["signatures"]
        for made in (layer, bundle):
            assert made["attachment"]["state"] in ("attached", "pending")
        return str(layer["signature"]), str(bundle["id"])

    with ThreadPoolExecutor(OURS + 2 * FOREIGN) as pool:
        foreign = [
            pool.submit(write, product, repository, digest, n)
            for n in range(FOREIGN)
            for write in (foreign_write, foreign_referrer)
        ]
        made = list(pool.map(ours, range(OURS)))
        for future in foreign:
            future.result()
    wanted = {signature for signature, _ in made}
    assert len(wanted) == OURS

    deadline = time.monotonic() + SETTLE_SECONDS
    while not wanted | bundles(product, made) <= ours_at_the_registry(product, repository, digest):
        assert time.monotonic() < deadline, "a signature of ours was not put back"
        time.sleep(0.5)
    layers = product.images.signature_layers(repository, digest)
    assert len([1 for layer in layers]) >= OURS
    verdict = product.verdict(image)
    assert verdict["verdict"] == "verified"
    good = [one["format"] for one in verdict["signatures"] if one["outcome"] == "verified"]
    assert (good.count("cosign"), good.count("bundle")) == (OURS, OURS)


def bundles(product: Product, made: list[tuple[str, str]]) -> set[str]:
    """Return the digests of the bundles' manifests; `pending` is none that could be listed."""
    found = [
        product.call("GET", f"/v1/signatures/{bundle}", who="auditor").body for _, bundle in made
    ]
    return {str(one["attachment"]["digest"] or "pending") for one in found}


@pytest.mark.parametrize("form", ["cosign", "bundle"])
def test_a_signature_overwritten_after_it_was_confirmed_is_put_back(
    product: Product, form: str
) -> None:
    repository = f"race/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}@{digest}"
    made = product.sign(image, formats=[form]).body["results"][0]["signatures"][0]
    assert made["attachment"]["state"] == "attached"
    suffix, emptied = (".sig", "layers") if form == "cosign" else ("", "manifests")
    tag = f"sha256-{digest.hex}{suffix}"
    held = product.images.get_manifest(repository, tag)
    assert held is not None
    content = json.dumps({**json.loads(held.content), emptied: []}).encode()
    overwritten = product.images.push_manifest(repository, tag, content, held.media_type)
    # It was there: for how long, is a matter of when the service looks.
    assert product.images.get_manifest(repository, str(overwritten)) is not None
    deadline = time.monotonic() + SETTLE_SECONDS
    while product.verdict(image)["verdict"] != "verified":
        assert time.monotonic() < deadline
        time.sleep(0.5)
