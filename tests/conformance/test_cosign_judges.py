"""cosign, the reference verifier and a foreign writer, on our `.sig` (`make conformance`).

Not part of `make test`: building cosign takes minutes and needs Go.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain.digests import Digest
from tests.support.cosign import Cosign
from tests.support.product import Product

ALGORITHMS = ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"]
REISSUED = int(os.environ.get("SEALWRIGHT_REISSUED_IMAGES", "10"))

Sign = Callable[..., list[dict[str, object]]]
SIG: dict[str, object] = {"formats": ["cosign"]}


def push(product: Product, name: str) -> tuple[str, Digest]:
    files = {"app/name": name.encode(), "app/main": b"print('hello')\n"}
    digest = product.images.push_image(f"conformance/{name}", files=files)
    return f"{product.registry}/conformance/{name}@{digest}", digest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cosign_accepts_what_a_key_of_each_algorithm_signed(
    product: Product, cosign: Cosign, sign: Sign, tmp_path: Path, algorithm: str
) -> None:
    wanted = {"name": f"c-{algorithm}", "purpose": "image", "algorithm": algorithm}
    made = product.call("POST", "/v1/keys", wanted, who="custodian")
    assert made.status == 201, made.body
    image, digest = push(product, algorithm)
    key = tmp_path / "key.pem"
    key.write_text(product.public_key(f"c-{algorithm}"))
    assert cosign.verify(key, image).returncode != 0  # unsigned
    sign(image, f"c-{algorithm}", **SIG)
    done = cosign.verify(key, image)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    # Of Ed25519 there are two layers: each client takes another entry of the log.
    assert {one["critical"]["image"]["docker-manifest-digest"] for one in told} == {str(digest)}


def test_cosign_refuses_another_key(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, _ = push(product, "other-key")
    sign(image, **SIG)
    _, other = cosign.new_key("other")
    assert cosign.verify(release, image).returncode == 0
    assert cosign.verify(other, image).returncode != 0


def test_cosign_refuses_a_signature_moved_to_another_image(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, digest = push(product, "moved")
    sign(image, **SIG)
    registry, repository = product.images, "conformance/moved"
    signatures = registry.get_manifest(repository, f"sha256-{digest.hex}.sig")
    assert signatures is not None
    other = registry.push_image(repository, files={"app/name": b"changed"})
    registry.push_manifest(repository, f"sha256-{other.hex}.sig", signatures.content)
    assert cosign.verify(release, image).returncode == 0
    assert cosign.verify(release, f"{product.registry}/{repository}@{other}").returncode != 0


def test_cosign_refuses_a_payload_that_was_changed(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, digest = push(product, "changed")
    sign(image, **SIG)
    assert cosign.verify(release, image).returncode == 0
    product.left_alone(digest)
    registry, repository, tag = product.images, "conformance/changed", f"sha256-{digest.hex}.sig"
    stored = registry.get_manifest(repository, tag)
    assert stored is not None
    manifest = json.loads(stored.content)
    layer = manifest["layers"][0]
    payload = registry.get_blob(repository, layer["digest"])
    assert payload is not None
    altered = payload.replace(b'"optional"', b'"Optional"')
    assert altered != payload
    layer["digest"] = str(registry.push_blob(repository, altered))
    registry.push_manifest(repository, tag, json.dumps(manifest).encode())
    assert cosign.verify(release, image).returncode != 0


@pytest.mark.parametrize("first", ["cosign", "sealwright"])
def test_cosign_and_we_keep_each_others_signatures(
    product: Product, cosign: Cosign, sign: Sign, release: Path, first: str
) -> None:
    image, digest = push(product, f"after-{first}")
    private, public = cosign.new_key(f"after-{first}")
    writers: list[Callable[[], None]] = [
        lambda: cosign.sign(private, image),
        lambda: sign(image, **SIG),
    ]
    for write in writers if first == "cosign" else reversed(writers):
        write()
    for key in (public, release):
        done = cosign.verify(key, image)
        assert done.returncode == 0, done.stderr
    assert len(product.images.signature_layers(f"conformance/after-{first}", digest)) == 2
    assert product.verdict(image)["verdict"] == "verified"


@pytest.mark.timeout(300 + 3 * REISSUED)
def test_cosign_accepts_what_was_signed_again_with_the_new_key_alone(
    product: Product, cosign: Cosign, sign: Sign, tmp_path: Path
) -> None:
    wanted = {"name": "reissued", "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", wanted, who="custodian").status == 201
    images = [push(product, f"reissued-{number}")[0] for number in range(REISSUED)]
    for image in images:
        sign(image, "reissued")
    rotated = product.call("POST", "/v1/keys/reissued/versions", {}, who="custodian")
    assert rotated.status == 201, rotated.body
    key = tmp_path / "key.pem"
    key.write_text(product.public_key("reissued"))
    assert [cosign.accepts(key, image) for image in images[:3]] == [False] * 3
    path = "/v1/keys/reissued/versions/2/reissue"
    job = product.call("POST", path, who="custodian")
    assert job.status == 202, job.body
    deadline = time.monotonic() + 60 + REISSUED
    while (shown := product.call("GET", job.headers["Location"], who="custodian").body)[
        "state"
    ] != "done":
        assert time.monotonic() < deadline, shown
        time.sleep(0.2)
    assert shown["counts"]["reissued"] == REISSUED
    refused = [image for image in images if not cosign.accepts(key, image)]
    assert refused == []
