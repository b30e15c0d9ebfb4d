"""skopeo, podman and containers/image on our OpenPGP signatures, by lookaside and by extension."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.clients import client
from tests.support.product import Product


@dataclass(frozen=True)
class Trust:
    """A policy directory of one consumer: policy.json, registries.d and a key file."""

    directory: Path

    @property
    def policy(self) -> Path:
        return self.directory / "policy.json"

    @property
    def registries(self) -> Path:
        return self.directory / "registries.d"


def trust(product: Product, place: Path, key: str) -> Trust:
    made = Trust(place)
    made.registries.mkdir(parents=True)
    request = urllib.request.Request(
        f"{product.url}/v1/keys/{key}/public-key", headers={"Accept": "application/pgp-keys"}
    )
    with urllib.request.urlopen(request) as answer:
        (place / "key.gpg").write_bytes(answer.read())
    rule = {
        "type": "signedBy",
        "keyType": "GPGKeys",
        "keyPath": str(place / "key.gpg"),
        "signedIdentity": {"type": "matchRepoDigestOrExact"},
    }
    made.policy.write_text(
        json.dumps(
            {"default": [{"type": "reject"}], "transports": {"docker": {product.registry: [rule]}}}
        )
    )
    (made.registries / "sealwright.yaml").write_text(
        f"docker:\n  {product.registry}:\n"
        f"    lookaside: {product.url}/lookaside/{product.registry}\n"
    )
    return made


def skopeo(trust: Trust, image: str, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = ("skopeo", "--policy", str(trust.policy), "--registries.d", str(trust.registries))
    return subprocess.run(
        [*words, "copy", *more, "--src-tls-verify=false", f"docker://{image}", f"dir:{out}"],
        capture_output=True,
        text=True,
        check=False,
    )


def podman(trust: Trust, image: str, home: Path) -> subprocess.CompletedProcess[str]:
    config = home / ".config" / "containers"
    config.mkdir(parents=True, exist_ok=True)
    (config / "policy.json").write_text(trust.policy.read_text())
    registries = config / "registries.d"
    registries.mkdir(exist_ok=True)
    text = (trust.registries / "sealwright.yaml").read_text()
    (registries / "sealwright.yaml").write_text(text)
    storage = (
        "--storage-driver",
        "vfs",
        "--root",
        str(home / "root"),
        "--runroot",
        str(home / "r"),
    )
    return subprocess.run(
        ["podman", *storage, "pull", "--tls-verify=false", image],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def image_judge(trust: Trust, image: str) -> subprocess.CompletedProcess[str]:
    words = [client("image-judge"), str(trust.policy), str(trust.registries), image]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def image(product: Product) -> str:
    """An image with a tag, not signed yet."""
    repository = f"openpgp/{uuid.uuid4().hex[:12]}"
    product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}:1.0"


@pytest.fixture
def release(product: Product, tmp_path: Path) -> Trust:
    return trust(product, tmp_path / "trust", "release")


def sign(product: Product, image: str) -> None:
    made = product.sign(image, formats=["openpgp"])
    assert made.status == 201, made.body
    assert made.body["results"][0]["signatures"][0]["attachment"]["state"] == "attached"


def test_skopeo_takes_a_signed_image_and_no_other(
    product: Product, image: str, release: Trust, tmp_path: Path
) -> None:
    unsigned = skopeo(release, image, tmp_path / "unsigned")
    assert unsigned.returncode != 0
    assert "A signature was required, but no signature exists" in unsigned.stderr
    sign(product, image)
    done = skopeo(release, image, tmp_path / "signed", "--remove-signatures")
    assert done.returncode == 0, done.stderr


def test_podman_takes_a_signed_image_and_no_other(
    product: Product, image: str, release: Trust
) -> None:
    # podman takes no path of its own longer than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman") as home:
        assert "no signature exists" in podman(release, image, Path(home)).stderr
        sign(product, image)
        done = podman(release, image, Path(home))
        assert done.returncode == 0, done.stderr


def test_containers_image_takes_a_signed_image_and_no_other(
    product: Product, image: str, release: Trust
) -> None:
    assert "no signature exists" in image_judge(release, image).stderr
    sign(product, image)
    assert image_judge(release, image).returncode == 0


def test_skopeo_takes_every_platform_of_an_index_that_is_signed_recursively(
    product: Product, release: Trust, tmp_path: Path
) -> None:
    repository = f"openpgp/{uuid.uuid4().hex[:12]}"
    children = [
        product.images.push_image(repository, files={"x": name.encode()}, architecture=name)
        for name in ("amd64", "arm64")
    ]
    product.images.push_index(repository, children, "1.0")
    image = f"{product.registry}/{repository}:1.0"
    sign(product, image)  # the index alone, which containers/image does not look at
    assert skopeo(release, image, tmp_path / "index", "--remove-signatures").returncode != 0
    made = product.sign(image, formats=["openpgp"], recursive=True)
    assert made.status == 201, made.body
    for number, words in enumerate(([], ["--all"])):
        out = tmp_path / f"out-{number}"
        done = skopeo(release, image, out, "--remove-signatures", *words)
        assert done.returncode == 0, done.stderr


def test_a_consumer_that_trusts_another_key_refuses_it(
    product: Product, image: str, release: Trust, tmp_path: Path
) -> None:
    name = f"other-{uuid.uuid4().hex[:6]}"
    body = {"name": name, "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    other = trust(product, tmp_path / "other", name)
    sign(product, image)
    assert image_judge(release, image).returncode == 0
    refused = skopeo(other, image, tmp_path / "out", "--remove-signatures")
    assert refused.returncode != 0
    assert "Source image rejected" in refused.stderr


@pytest.mark.parametrize("algorithm", ["ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"])
def test_skopeo_takes_a_key_of_each_algorithm(
    product: Product, image: str, algorithm: str, tmp_path: Path
) -> None:
    name = f"pgp-{algorithm}-{uuid.uuid4().hex[:6]}"
    body = {"name": name, "purpose": "image", "algorithm": algorithm}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    credential = {
        "name": name,
        "person": name,
        "role": "builder",
        "repositories": ["**"],
        "keys": [name],
    }
    made = product.call("POST", "/v1/credentials", credential, who="admin")
    assert made.status == 201, made.body
    body = {"images": [{"reference": image}], "formats": ["openpgp"], "key": name}
    bearer = {"Authorization": f"Bearer {made.body['token']}"}
    signed = product.call("POST", "/v1/signatures", body, who=None, headers=bearer)
    assert signed.status == 201, signed.body
    trusted = trust(product, tmp_path / "trust", name)
    done = skopeo(trusted, image, tmp_path / "out", "--remove-signatures")
    assert done.returncode == 0, done.stderr
    assert image_judge(trusted, image).returncode == 0
