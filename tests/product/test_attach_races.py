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

OURS = 20
FOREIGN = 6
SETTLE_SECONDS = 45
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


def ours_at_the_registry(product: Product, repository: str, digest: Digest) -> set[str]:
    layers = product.images.signature_layers(repository, digest)
    return {str(dict(layer["annotations"])[ANNOTATION]) for layer in layers}  # type: ignore[call-overload]


@pytest.mark.timeout(150)
def test_every_signature_of_ours_is_there_at_the_end(product: Product) -> None:
    repository = f"race/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}@{digest}"
    # Once, beforehand: docker-registry mixes up concurrent uploads of one blob.
    product.images.push_blob(repository, b"{}")

    def ours(number: int) -> str:
        answer = product.sign(image, annotations={"build": str(number)})
        assert answer.status == 201, answer.body
        made = answer.body["results"][0]["signatures"][0]
        assert made["attachment"]["state"] in ("attached", "pending")
        return str(made["signature"])

    with ThreadPoolExecutor(OURS + FOREIGN) as pool:
        foreign = [
            pool.submit(foreign_write, product, repository, digest, n) for n in range(FOREIGN)
        ]
        wanted = set(pool.map(ours, range(OURS)))
        for future in foreign:
            future.result()
    assert len(wanted) == OURS

    deadline = time.monotonic() + SETTLE_SECONDS
    while not wanted <= ours_at_the_registry(product, repository, digest):
        assert time.monotonic() < deadline, "a signature of ours was not put back"
        time.sleep(0.5)
    layers = product.images.signature_layers(repository, digest)
    assert len([1 for layer in layers]) >= OURS
    assert product.verdict(image)["verdict"] == "verified"


@pytest.mark.timeout(90)
def test_a_signature_overwritten_after_it_was_confirmed_is_put_back(product: Product) -> None:
    repository = f"race/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}@{digest}"
    made = product.sign(image).body["results"][0]["signatures"][0]
    assert made["attachment"]["state"] == "attached"
    tag = f"sha256-{digest.hex}.sig"
    held = product.images.get_manifest(repository, tag)
    assert held is not None
    emptied = {**json.loads(held.content), "layers": []}
    product.images.push_manifest(repository, tag, json.dumps(emptied).encode())
    assert product.verdict(image)["verdict"] == "unsigned"
    deadline = time.monotonic() + SETTLE_SECONDS
    while product.verdict(image)["verdict"] != "verified":
        assert time.monotonic() < deadline
        time.sleep(0.5)
