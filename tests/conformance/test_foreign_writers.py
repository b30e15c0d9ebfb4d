"""Stock cosign writes into our log over Rekor's own API, and its signatures verify from there."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.cosign import Cosign
from tests.support.product import Product


def push(product: Product) -> str:
    repository = f"foreign/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, files={"app/name": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


def signing_config(product: Product, version: int) -> Any:
    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "rekorTlogUrls": [
            {
                "url": product.url,
                "majorApiVersion": version,
                "validFor": {"start": "2026-01-01T00:00:00Z"},
                "operator": "sealwright.test",
            }
        ],
        "rekorTlogConfig": {"selector": "ANY"},
    }


@pytest.fixture
def root(product: Product, tmp_path: Path) -> Path:
    # A log has a first entry before it has a key for strangers to trust.
    made = product.sign(f"{product.registry}/foreign/x@sha256:{uuid.uuid4().hex * 2}", attach=False)
    assert made.status == 201
    file = tmp_path / "trusted_root.json"
    answer = product.call("GET", "/v1/trust/trusted-root", who=None)
    file.write_text(json.dumps(answer.body))
    return file


@pytest.fixture
def named(product: Product, cosign: Cosign) -> tuple[Path, Path]:
    """Return a key pair of cosign's that the trust policy names."""
    private, public = cosign.new_key(f"foreign-{uuid.uuid4().hex[:8]}")
    policy = product.state / "policy.yaml"
    kept = json.loads(policy.read_text())
    keys = kept.setdefault("trust", {}).setdefault("keys", [])
    keys.append({"name": uuid.uuid4().hex, "public_key": public.read_text()})
    policy.write_text(json.dumps(kept))
    time.sleep(2.5)  # the file is read again within a second, by each process
    return private, public


def sign(judge: Cosign, private: Path, image: str, *words: str) -> int:
    done = judge.run(
        *("sign", "--key", str(private), "--yes", "--allow-http-registry", *words, image)
    )
    print(done.stderr)
    return done.returncode


@pytest.mark.parametrize("version", [1, 2])
def test_cosign_writes_a_bundle_through_rekors_api(
    product: Product, cosign: Cosign, named: tuple[Path, Path], root: Path, version: int
) -> None:
    config = cosign.home / f"config-{version}.json"
    config.write_text(json.dumps(signing_config(product, version)))
    words = ("--signing-config", str(config), "--trusted-root", str(root))
    image = push(product)
    stranger, _ = cosign.new_key(f"stranger-{uuid.uuid4().hex[:8]}")
    assert sign(cosign, stranger, image, *words) != 0
    assert sign(cosign, named[0], image, *words) == 0
    done = cosign.run(
        *("verify", "--key", str(named[1]), "--trusted-root", str(root)),
        *("--allow-http-registry", image),
    )
    assert done.returncode == 0, done.stderr
