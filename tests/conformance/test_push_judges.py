"""Stock clients take what `sealwright sign --push-from-here` has attached, log and all."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.conformance.test_log_judges import verify
from tests.conformance.test_notation_judges import judge, trust
from tests.support.cosign import Cosign
from tests.support.product import Product

SEALWRIGHT = Path(sys.executable).with_name("sealwright")


@pytest.fixture
def image(product: Product) -> str:
    repository = f"pushed/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


def push(product: Product, home: Path, *words: str) -> None:
    done = subprocess.run(
        [SEALWRIGHT, "sign", "--push-from-here", "--registry-plain-http", *words],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "SEALWRIGHT_URL": product.url,
            "SEALWRIGHT_TOKEN_FILE": str(home / "token"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("form", ["cosign", "bundle"])
@pytest.mark.parametrize("algorithm", ["ec-p256", "ed25519"])
def test_cosign_checks_the_log_of_what_a_job_has_pushed(
    product: Product,
    both_cosigns: list[Cosign],
    signer: str,
    *,
    image: str,
    tmp_path: Path,
    algorithm: str,
    form: str,
) -> None:
    key = f"pushed-{uuid.uuid4().hex[:8]}"
    body = {"name": key, "purpose": "image", "algorithm": algorithm}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    (tmp_path / "token").write_text(signer)
    (tmp_path / "key.pem").write_text(product.public_key(key))
    root = product.call("GET", "/v1/trust/trusted-root", who=None).body
    for cosign in both_cosigns:
        assert verify(cosign, tmp_path / "key.pem", image, root).returncode != 0  # unsigned
    push(product, tmp_path, "--key", key, "--format", form, image)
    for cosign in both_cosigns:
        done = verify(cosign, tmp_path / "key.pem", image, root)
        assert done.returncode == 0, done.stderr


def test_notation_takes_what_a_job_has_pushed(
    product: Product, signer: str, image: str, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(signer)
    config = trust(product, tmp_path / "config")
    assert judge(config, image).returncode == 1
    push(product, tmp_path, "--key", "release", "--format", "notation", image)
    done = judge(config, image)
    assert done.returncode == 0, done.stderr
