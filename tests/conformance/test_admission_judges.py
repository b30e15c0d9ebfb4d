"""The cluster's own judges, by their command lines, with the exported policies as they are."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.consumers import kyverno, policy_controller
from tests.conformance.scenarios import Site
from tests.support.product import Product

Sign = Callable[[str, str], None]
Judge = Callable[[Path, str, Path], subprocess.CompletedProcess[str]]


@pytest.fixture
def product(unstamped: Site) -> Product:
    return unstamped.product


@pytest.fixture
def sign(unstamped: Site) -> Sign:
    def one(image: str, key: str) -> None:
        for form in ("cosign", "bundle"):
            unstamped.sign_image(form, key, image)

    return one


def export(product: Product, place: Path, key: str) -> Path:
    words = ["trust", "export", "--url", product.url, "--key", key, str(place)]
    subprocess.run(
        [str(Path(sys.executable).with_name("sealwright")), *words],
        env={},
        check=True,
        capture_output=True,
    )
    return place


def new_key(product: Product) -> str:
    name = f"cluster-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    return name


def new_image(product: Product) -> str:
    repository = f"cluster/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


JUDGES = {"policy-controller": policy_controller, "kyverno": kyverno}


@pytest.mark.parametrize("name", JUDGES)
def test_the_exported_policy_admits_what_is_signed_and_nothing_else(
    product: Product, sign: Sign, tmp_path: Path, name: str
) -> None:
    judge: Judge = JUDGES[name]
    key, other, image = new_key(product), new_key(product), new_image(product)
    trust = export(product, tmp_path / "trust", key)
    unsigned = judge(trust, image, tmp_path)
    assert unsigned.returncode != 0, unsigned.stdout
    sign(image, other)
    assert judge(trust, image, tmp_path).returncode != 0, "another key"
    sign(image, key)
    done = judge(trust, image, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    # Under a key that was rotated, too: the policy holds every version that is trusted.
    assert product.call("POST", f"/v1/keys/{key}/versions", {}, who="custodian").status == 201
    export(product, trust, key)
    assert judge(trust, image, tmp_path).returncode == 0
    # What is signed is this image, and not one that has its signatures put beside it.
    forged = new_image(product)
    copy_signatures(product, image, forged)
    assert judge(trust, forged, tmp_path).returncode != 0, "signatures of another image"
    body = {"state": "compromised", "reason": "stolen"}
    path = f"/v1/keys/{key}/versions/1/state"
    assert product.call("POST", path, body, who="custodian").status == 200
    assert judge(export(product, trust, key), image, tmp_path).returncode != 0, "compromised"


def copy_signatures(product: Product, source: str, target: str) -> None:
    """Put the source's `.sig` beside the target, blobs and all."""
    registry = product.images
    (old, old_digest), (new, new_digest) = (_parts(product, each) for each in (source, target))
    stored = registry.get_manifest(old, f"sha256-{old_digest}.sig")
    assert stored is not None
    manifest = json.loads(stored.content)
    for each in [manifest["config"], *manifest["layers"]]:
        content = registry.get_blob(old, each["digest"])
        assert content is not None
        registry.push_blob(new, content)
    registry.push_manifest(new, f"sha256-{new_digest}.sig", stored.content, stored.media_type)


def _parts(product: Product, image: str) -> tuple[str, str]:
    name, _, digest = image.removeprefix(f"{product.registry}/").partition("@sha256:")
    return name, digest
