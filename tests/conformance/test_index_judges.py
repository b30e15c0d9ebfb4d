"""cosign on an index and everything in it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain.digests import Digest
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
