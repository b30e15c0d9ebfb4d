"""Stock cosign signs and verifies through `sigstore-kms-sealwright` (`make conformance`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cosign import EMPTY_ROOT, Cosign
from tests.support.ports import free_port
from tests.support.product import Product

SCRIPTS = Path(sys.executable).parent


@dataclass(frozen=True)
class Plugged:
    """cosign with the plug-in on its PATH, as whoever the token file says."""

    cosign: Cosign
    env: Mapping[str, str]

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return replace(self.cosign, more_env={**self.env, **more}).run(*words)

    def sign(
        self, image: str, key: str = "release", *, bundle: bool = True, **more: str
    ) -> subprocess.CompletedProcess[str]:
        if self.cosign.is_older:
            form = ("--new-bundle-format",) if bundle else ()
        else:
            form = ("--use-signing-config=false", f"--new-bundle-format={str(bundle).lower()}")
        return self.run(
            *("sign", "--key", f"sealwright://{key}", "--yes", "--tlog-upload=false"),
            *(*form, "--allow-http-registry", image),
            **more,
        )

    def verify(self, image: str, key: str = "release") -> subprocess.CompletedProcess[str]:
        root: tuple[str, ...] = ()
        if self.cosign.is_older:
            (self.cosign.home / "root.json").write_text(json.dumps(EMPTY_ROOT))
            root = ("--trusted-root", "root.json")
        return self.run(
            *("verify", "--key", f"sealwright://{key}", "--insecure-ignore-tlog"),
            *("--allow-http-registry", *root, image),
        )


@pytest.fixture
def environment(product: Product) -> dict[str, str]:
    return {
        "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        "SEALWRIGHT_URL": product.url,
        "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
    }


@pytest.fixture(params=["cosign", "older_cosign"])
def plugged(request: pytest.FixtureRequest, environment: dict[str, str]) -> Plugged:
    return Plugged(request.getfixturevalue(request.param), environment)


@pytest.fixture
def image(product: Product) -> str:
    repository = f"plugged/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


def credential(product: Product, place: Path, **fields: Any) -> str:
    """Return the token file of a new builder."""
    name = f"plugged-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "person": name, "role": "builder", "repositories": ["**"], **fields}
    made = product.call("POST", "/v1/credentials", body, who="admin")
    assert made.status == 201, made.body
    file = place / name
    file.write_text(made.body["token"])
    return str(file)


def new_key(product: Product, algorithm: str = "ec-p256", purpose: str = "image") -> str:
    name = f"plugged-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": purpose, "algorithm": algorithm}
    made = product.call("POST", "/v1/keys", body, who="custodian")
    assert made.status == 201, made.body
    return name


@pytest.mark.parametrize("bundle", [True, False], ids=["bundle", "sig"])
def test_cosign_signs_by_our_key_and_everybody_takes_it(
    product: Product, plugged: Plugged, image: str, release: Path, bundle: bool
) -> None:
    assert plugged.verify(image).returncode != 0  # unsigned
    done = plugged.sign(image, bundle=bundle)
    assert done.returncode == 0, done.stderr
    by_plugin = plugged.verify(image)
    assert by_plugin.returncode == 0, by_plugin.stderr
    by_file = plugged.cosign.verify(release, image)
    assert by_file.returncode == 0, by_file.stderr
    assert product.verdict(image)["verdict"] == "verified"
    digest = image.partition("@")[2]
    found = product.call("GET", f"/v1/signatures?digest={digest}", who="auditor").body["items"]
    kind = "dsse-pae" if bundle else "simplesigning"
    assert [one["format"] for one in found] == [f"{kind}-payload"]
    assert found[0]["log"] is not None


@pytest.mark.parametrize("algorithm", ["ec-p384", "rsa-3072", "ed25519"])
def test_every_kind_of_key_signs_as_verifiers_check_by_default(
    product: Product, plugged: Plugged, image: str, tmp_path: Path, algorithm: str
) -> None:
    key = new_key(product, algorithm)
    token = credential(product, tmp_path, keys=[key], rights=["sign-payload"])
    file = tmp_path / "key.pem"
    file.write_text(product.public_key(key))
    done = plugged.sign(image, key, SEALWRIGHT_TOKEN_FILE=token)
    assert done.returncode == 0, done.stderr
    assert plugged.verify(image, key).returncode == 0
    assert plugged.cosign.accepts(file, image)


def test_cosign_shows_the_public_key(product: Product, plugged: Plugged) -> None:
    shown = plugged.run("public-key", "--key", "sealwright://release")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() == product.public_key().strip()


def test_an_attestation_is_signed_by_its_own_key_and_by_no_key_of_images(
    plugged: Plugged, image: str
) -> None:
    predicate = plugged.cosign.home / "predicate.json"
    predicate.write_text('{"spdxVersion":"SPDX-2.3"}')
    form = () if plugged.cosign.is_older else ("--use-signing-config=false",)

    def attest(key: str) -> subprocess.CompletedProcess[str]:
        return plugged.run(
            *("attest", "--key", f"sealwright://{key}", "--yes", "--tlog-upload=false", *form),
            *("--type", "https://spdx.dev/Document", "--predicate", "predicate.json"),
            *("--allow-http-registry", image),
        )

    refused = attest("release")
    assert refused.returncode != 0
    assert "predicate-not-allowed" in refused.stderr
    assert "release signs images" in refused.stderr
    done = attest("build")
    assert done.returncode == 0, done.stderr
    # And a key of attestations signs no image.
    refused = plugged.sign(image, "build")
    assert refused.returncode != 0
    assert "predicate-not-allowed" in refused.stderr


def test_a_credential_without_the_right_or_the_key_is_refused_with_the_reason(
    product: Product, plugged: Plugged, image: str, tmp_path: Path
) -> None:
    no_right = credential(product, tmp_path, keys=["release"])
    refused = plugged.sign(image, SEALWRIGHT_TOKEN_FILE=no_right)
    assert refused.returncode != 0
    assert "no right sign-payload" in refused.stderr
    other_key = credential(product, tmp_path, keys=["build"], rights=["sign-payload"])
    refused = plugged.sign(image, SEALWRIGHT_TOKEN_FILE=other_key)
    assert refused.returncode != 0
    assert "does not cover the key release" in refused.stderr
    good = credential(product, tmp_path, keys=["release"], rights=["sign-payload"])
    assert plugged.sign(image, SEALWRIGHT_TOKEN_FILE=good).returncode == 0


def test_a_compromised_version_signs_nothing_and_verifies_nothing(
    product: Product, plugged: Plugged, image: str, tmp_path: Path
) -> None:
    key = new_key(product)
    token = credential(product, tmp_path, keys=[key], rights=["sign-payload"])
    assert plugged.sign(image, key, SEALWRIGHT_TOKEN_FILE=token).returncode == 0
    # An honest rotation leaves what was signed before good.
    rotated = product.call("POST", f"/v1/keys/{key}/versions", {}, who="custodian")
    assert rotated.status == 201, rotated.body
    assert plugged.verify(image, key).returncode == 0
    for version in (1, 2):
        body = {"state": "compromised", "reason": "stolen"}
        path = f"/v1/keys/{key}/versions/{version}/state"
        assert product.call("POST", path, body, who="custodian").status == 200
        if version == 1:
            assert plugged.verify(image, key).returncode != 0
    refused = plugged.sign(image, key, SEALWRIGHT_TOKEN_FILE=token)
    assert refused.returncode != 0
    assert f"no version of {key} is active" in refused.stderr


def test_a_service_that_is_away_is_told_in_words(plugged: Plugged, image: str) -> None:
    away = plugged.sign(image, SEALWRIGHT_URL=f"http://127.0.0.1:{free_port()}")
    assert away.returncode != 0
    assert "the service does not answer" in away.stderr
    unset = plugged.sign(image, SEALWRIGHT_URL="")
    assert unset.returncode != 0
    assert "SEALWRIGHT_URL is not set" in unset.stderr
    assert plugged.sign(image).returncode == 0


def test_no_key_is_made_through_the_plugin(plugged: Plugged) -> None:
    refused = plugged.run("generate-key-pair", "--kms", "sealwright://made-by-cosign")
    assert refused.returncode != 0
    assert "keys are made by custodians" in refused.stderr
