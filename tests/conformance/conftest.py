"""The judges, and a builder that may use every key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clients import client
from tests.support.cosign import Cosign
from tests.support.product import Product

Sign = Callable[..., list[dict[str, object]]]


@pytest.fixture(scope="session")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    return Cosign(client("cosign"), tmp_path_factory.mktemp("cosign"))


@pytest.fixture(scope="session")
def older_cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    return Cosign(client("cosign-2"), tmp_path_factory.mktemp("cosign-2"), is_older=True)


@pytest.fixture(scope="session")
def both_cosigns(cosign: Cosign, older_cosign: Cosign) -> list[Cosign]:
    return [cosign, older_cosign]


@pytest.fixture(scope="session")
def signer(product: Product) -> str:
    """Return the token of a builder that may use every key."""
    made = product.call(
        "POST",
        "/v1/credentials",
        {
            "name": "conformance",
            "person": "conformance",
            "role": "builder",
            "repositories": ["**"],
            "keys": ["*"],
        },
        who="admin",
    )
    assert made.status == 201, made.body
    return str(made.body["token"])


@pytest.fixture
def sign(product: Product, signer: str) -> Sign:
    def one(image: str, key: str = "release", **fields: object) -> list[dict[str, object]]:
        answer = product.call(
            "POST",
            "/v1/signatures",
            {"images": [{"reference": image}], "key": key, **fields},
            who=None,
            headers={"Authorization": f"Bearer {signer}"},
        )
        assert answer.status == 201, answer.body
        result = answer.body["results"][0]
        made = [*result["signatures"], *(s for c in result["children"] for s in c["signatures"])]
        assert {one["attachment"]["state"] for one in made} == {"attached"}
        return made

    return one


@pytest.fixture
def release(product: Product, tmp_path: Path) -> Path:
    file = tmp_path / "release.pem"
    file.write_text(product.public_key())
    return file
