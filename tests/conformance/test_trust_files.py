"""Each exported file as it is served, by the tool that it is for, without an edit."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.clients import client
from tests.support.cosign import Cosign
from tests.support.product import Product

Sign = Callable[..., list[dict[str, object]]]


def export(product: Product, place: Path, key: str) -> Path:
    words = ["trust", "export", "--url", product.url, "--key", key, str(place)]
    subprocess.run(
        [str(Path(sys.executable).with_name("sealwright")), *words],
        env={},
        check=True,
        capture_output=True,
    )
    return place


@pytest.fixture
def key(product: Product) -> str:
    """A key of its own, with certificates for notation."""
    name = f"trust-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    certify(product, name)
    return name


def certify(product: Product, name: str, **fields: object) -> None:
    done = product.call("POST", f"/v1/keys/{name}/self-sign", fields, who="custodian")
    assert done.status in (200, 201), done.body


@pytest.fixture(scope="module", autouse=True)
def authority(product: Product) -> None:
    """A time-stamping authority of ours, so that the exports name one."""
    name = f"time-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "timestamp", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    certify(product, name)


@pytest.fixture
def trust(product: Product, key: str, tmp_path: Path) -> Path:
    """An export of this key, in a directory that has its name."""
    return export(product, tmp_path / key / "trust", key)


@pytest.fixture
def image(product: Product) -> str:
    repository = f"trust/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}:1.0@{digest}"


def without_tag(image: str) -> str:
    return image.replace(":1.0@", "@")


def tagged(image: str) -> str:
    return image.partition("@")[0]


def compromise(product: Product, name: str, version: int) -> None:
    body = {"state": "compromised", "reason": "stolen"}
    path = f"/v1/keys/{name}/versions/{version}/state"
    assert product.call("POST", path, body, who="custodian").status == 200


def rotate(product: Product, name: str) -> None:
    assert product.call("POST", f"/v1/keys/{name}/versions", {}, who="custodian").status == 201


def test_cosign_takes_the_key_and_the_trusted_root_of_the_export(
    product: Product, both_cosigns: list[Cosign], sign: Sign, image: str, trust: Path
) -> None:
    key = trust.parent.name
    words = ("--trusted-root", str(trust / "trusted_root.json"), "--allow-http-registry")
    for cosign in both_cosigns:
        unsigned = cosign.run(
            "verify", "--key", str(trust / "cosign.pub"), *words, without_tag(image)
        )
        assert unsigned.returncode != 0
    sign(image, key)
    rotate(product, key)
    trust = export(product, trust, key)
    for cosign in both_cosigns:
        for name, accepted in (("cosign-v1.pub", True), ("cosign.pub", False)):
            file = str(trust / name)
            done = cosign.run("verify", "--key", file, *words, without_tag(image))
            assert (done.returncode == 0) is accepted, done.stderr


def judge_notation(trust: Path, image: str) -> subprocess.CompletedProcess[str]:
    words = [client("notation-judge"), str(trust / "notation"), without_tag(image)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_notation_refuses_a_compromised_version_under_the_same_root(
    product: Product, sign: Sign, image: str, trust: Path
) -> None:
    key = trust.parent.name
    assert list((trust / "notation" / "truststore" / "x509" / "tsa").rglob("*.pem"))
    assert judge_notation(trust, image).returncode != 0
    sign(image, key, formats=["notation"])
    done = judge_notation(trust, image)
    assert done.returncode == 0, done.stderr
    rotate(product, key)
    certify(product, key)
    assert judge_notation(export(product, trust, key), image).returncode == 0
    compromise(product, key, 1)
    refused = judge_notation(export(product, trust, key), image)
    assert refused.returncode != 0
    assert "trusted" in refused.stderr


POLICIES = {
    "sigstore": ("policy.json", ["cosign"]),
    "openpgp": ("policy-openpgp.json", ["cosign", "openpgp"]),
}


@pytest.mark.parametrize("form", POLICIES)
def test_containers_image_takes_each_policy_as_it_is(
    product: Product, sign: Sign, image: str, trust: Path, form: str
) -> None:
    policy, formats = POLICIES[form]
    key = trust.parent.name
    rotate(product, key)  # so that each policy holds two keys
    export(product, trust, key)

    def judge(place: Path) -> subprocess.CompletedProcess[str]:
        words = [str(place / "containers" / policy), str(place / "containers" / "registries.d")]
        return subprocess.run(
            [client("image-judge"), *words, tagged(image)],
            capture_output=True,
            text=True,
            check=False,
        )

    assert "no signature exists" in judge(trust).stderr
    sign(image, key, formats=formats)
    moved = Path(shutil.move(trust, trust.with_name("elsewhere")))
    done = judge(moved)
    assert done.returncode == 0, done.stderr
    compromise(product, key, 2)
    assert judge(export(product, moved, key)).returncode != 0


def test_skopeo_takes_the_openpgp_policy_as_it_is(
    sign: Sign, image: str, trust: Path, tmp_path: Path
) -> None:
    key, containers = trust.parent.name, trust / "containers"

    def skopeo() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *("skopeo", "--policy", str(containers / "policy-openpgp.json")),
                *("--registries.d", str(containers / "registries.d"), "copy"),
                *("--remove-signatures", "--src-tls-verify=false"),
                *(f"docker://{tagged(image)}", f"dir:{tmp_path / 'out'}"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

    sign(image, key, formats=["cosign"])
    assert skopeo().returncode != 0
    sign(image, key, formats=["openpgp"])
    done = skopeo()
    assert done.returncode == 0, done.stderr
