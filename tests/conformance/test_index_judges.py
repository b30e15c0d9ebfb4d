"""cosign on an index and everything in it, and on bundles with the proof of our own log."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from service.domain.digests import Digest
from service.translog.trustedroot import MEDIA_TYPE, LogKey, tlogs
from tests.support.cosign import Cosign
from tests.support.product import Product

Sign = Callable[..., list[dict[str, object]]]


def indexed(product: Product) -> tuple[str, Digest, list[Digest]]:
    repository = f"indexes/{uuid.uuid4().hex[:12]}"
    children = [
        product.images.push_image(repository, files={"arch": name.encode()}, architecture=name)
        for name in ("amd64", "arm64")
    ]
    digest = product.images.push_index(repository, children, "1.0")
    return f"{product.registry}/{repository}", digest, children


@pytest.mark.parametrize("formats", [["cosign"], ["bundle"], ["cosign", "bundle"]])
def test_cosign_accepts_the_index_its_tag_and_each_child(
    product: Product, cosign: Cosign, sign: Sign, release: Path, formats: list[str]
) -> None:
    repository, digest, children = indexed(product)
    everything = [f"{repository}:1.0", *(f"{repository}@{d}" for d in (digest, *children))]
    assert not any(cosign.accepts(release, image) for image in everything)
    made = sign(f"{repository}:1.0@{digest}", recursive=True, formats=formats)
    assert len(made) == 3 * len(formats)
    for image in everything:
        done = cosign.verify(release, image)
        assert done.returncode == 0, done.stderr


def test_without_recursion_cosign_refuses_the_children(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    repository, digest, children = indexed(product)
    sign(f"{repository}:1.0@{digest}")
    assert cosign.accepts(release, f"{repository}:1.0")
    assert not any(cosign.accepts(release, f"{repository}@{child}") for child in children)


def test_we_accept_what_cosign_signs_recursively_and_it_accepts_ours_beside(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    repository, digest, _ = indexed(product)
    private, public = cosign.new_key(f"i-{digest.hex[:8]}")
    cosign.sign(private, f"{repository}@{digest}", bundle=True, recursive=True)
    sign(f"{repository}:1.0@{digest}", recursive=True)
    for key in (public, release):
        assert cosign.accepts(key, f"{repository}:1.0")
    body = {"images": [{"reference": f"{repository}@{digest}"}], "recursive": True}
    (verdict,) = product.call("POST", "/v1/verifications", body).body["results"]
    assert (verdict["verdict"], verdict["n_of_n"]) == ("verified", "2 of 2")


@pytest.fixture
def trusted_root(product: Product, tmp_path: Path) -> Path:
    """Our log as cosign is told of it."""
    checkpoint = str(product.call("GET", "/v1/log/checkpoint", who=None).body)
    key = serialization.load_pem_public_key(product.public_key("log").encode())
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    log = tlogs(checkpoint.splitlines()[0], [LogKey(spki, datetime(2020, 1, 1, tzinfo=UTC))])
    file = tmp_path / "trusted_root.json"
    file.write_text(json.dumps({"mediaType": MEDIA_TYPE, "tlogs": log}))
    return file


@pytest.mark.parametrize("formats", [["cosign"], ["bundle"], ["cosign", "bundle"]])
def test_cosign_finds_the_proof_of_our_log_and_demands_it(
    product: Product,
    both_cosigns: list[Cosign],
    sign: Sign,
    trusted_root: Path,
    formats: list[str],
) -> None:
    repository = f"indexes/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository)
    image = f"{product.registry}/{repository}@{digest}"
    sign(image, formats=formats)
    key = trusted_root.with_name("release.pem")
    key.write_text(product.public_key())
    foreign = trusted_root.with_name("foreign.json")
    other = json.loads(trusted_root.read_text())
    other["tlogs"][0]["logId"]["keyId"] = "A" * 43 + "="
    foreign.write_text(json.dumps(other))
    for cosign in both_cosigns:
        words = ("verify", "--key", str(key), "--allow-http-registry", "--offline")
        done = cosign.run(*words, "--trusted-root", str(trusted_root), image)
        assert done.returncode == 0, done.stderr
        assert cosign.run(*words, "--trusted-root", str(foreign), image).returncode != 0
