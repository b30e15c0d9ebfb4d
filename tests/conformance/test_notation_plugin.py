"""Stock notation signs through `notation-sealwright`, in both envelopes (`make conformance`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_notation_judges import judge, trust
from tests.support.clients import client
from tests.support.ports import free_port
from tests.support.product import Product
from tests.tooling.test_documented_commands import ROOT, console, typed_in

PLUGIN = Path(sys.executable).with_name("notation-sealwright")
MEDIA_TYPES = {"jws": "application/jose+json", "cose": "application/cose"}


@dataclass(frozen=True)
class Notation:
    """The notation command line with our plug-in installed, in a home of its own."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"], **self.env, **more}
        return subprocess.run(
            [client("notation-cli"), *words], env=env, capture_output=True, text=True, check=False
        )

    def sign(self, image: str, *words: str, key: str = "release", **more: str) -> Any:
        return self.run(
            *("sign", "--plugin", "sealwright", "--id", key, "--insecure-registry", *words, image),
            **more,
        )


@pytest.fixture
def notation(product: Product, tmp_path: Path) -> Notation:
    home = tmp_path / "home"
    place = home / ".config" / "notation" / "plugins" / "sealwright"
    place.mkdir(parents=True)
    (place / "notation-sealwright").symlink_to(PLUGIN)
    env = {
        "SEALWRIGHT_URL": product.url,
        "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
    }
    return Notation(home, env)


@pytest.fixture
def image(product: Product) -> str:
    repository = f"notation/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


def new_key(product: Product, algorithm: str) -> str:
    name = f"plugged-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "purpose": "image", "algorithm": algorithm}
    made = product.call("POST", "/v1/keys", body, who="custodian")
    assert made.status == 201, made.body
    return name


def builder(product: Product, place: Path, **fields: Any) -> str:
    name = f"plugged-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "person": name, "role": "builder", "repositories": ["**"], **fields}
    made = product.call("POST", "/v1/credentials", body, who="admin")
    assert made.status == 201, made.body
    file = place / name
    file.write_text(made.body["token"])
    return str(file)


def test_notation_lists_the_plugin_as_its_own(notation: Notation) -> None:
    listed = notation.run("plugin", "list")
    assert listed.returncode == 0, listed.stderr
    assert "sealwright" in listed.stdout
    assert "SIGNATURE_GENERATOR.RAW" in listed.stdout


@pytest.mark.parametrize("form", MEDIA_TYPES)
@pytest.mark.parametrize("more", [(), ("--expiry", "48h"), ("--user-metadata", "build=1")])
def test_notation_signs_by_our_key_and_everybody_takes_it(
    product: Product, notation: Notation, image: str, form: str, more: tuple[str, ...]
) -> None:
    config = trust(product, notation.home / "trust")
    assert judge(config, image).returncode == 1  # unsigned
    done = notation.sign(image, "--signature-format", form, *more)
    assert done.returncode == 0, done.stderr
    verified = judge(config, image)
    assert verified.returncode == 0, verified.stderr
    assert product.verdict(image)["verdict"] == "verified"
    digest = image.partition("@")[2]
    found = product.call("GET", f"/v1/signatures?digest={digest}", who="auditor").body["items"]
    assert [one["format"] for one in found] == [f"notation-{form}-payload"]
    assert found[0]["log"] is not None


@pytest.mark.parametrize("algorithm", ["ec-p384", "rsa-2048", "rsa-4096"])
def test_each_kind_of_key_signs_as_the_notary_project_wants(
    product: Product, notation: Notation, image: str, algorithm: str
) -> None:
    key = new_key(product, algorithm)
    token = builder(product, notation.home, keys=[key], rights=["sign-payload"])
    refused = notation.sign(image, key=key, SEALWRIGHT_TOKEN_FILE=token)
    assert refused.returncode != 0
    assert "has no certificate chain" in refused.stderr
    made = product.call("POST", f"/v1/keys/{key}/self-sign", {"lone": True}, who="custodian")
    assert made.status in (200, 201), made.body
    done = notation.sign(image, key=key, SEALWRIGHT_TOKEN_FILE=token)
    assert done.returncode == 0, done.stderr
    verified = judge(trust(product, notation.home / "trust", key), image)
    assert verified.returncode == 0, verified.stderr


def test_what_may_not_be_signed_is_refused_in_words(
    product: Product, notation: Notation, image: str
) -> None:
    no_right = builder(product, notation.home, keys=["release"])
    refused = notation.sign(image, SEALWRIGHT_TOKEN_FILE=no_right)
    assert refused.returncode != 0
    assert "no right sign-payload" in refused.stderr
    of_attestations = notation.sign(image, key="build")
    assert of_attestations.returncode != 0
    assert "build signs attestations" in of_attestations.stderr
    unknown = notation.sign(image, key="nobody")
    assert unknown.returncode != 0
    assert "there is no key 'nobody'" in unknown.stderr
    away = notation.sign(image, SEALWRIGHT_URL=f"http://127.0.0.1:{free_port()}")
    assert away.returncode != 0
    assert "the service does not answer" in away.stderr
    assert notation.sign(image).returncode == 0


def test_a_compromised_version_signs_nothing(
    product: Product, notation: Notation, image: str
) -> None:
    key = new_key(product, "ec-p256")
    token = builder(product, notation.home, keys=[key], rights=["sign-payload"])
    lone = product.call("POST", f"/v1/keys/{key}/self-sign", {"lone": True}, who="custodian")
    assert lone.status in (200, 201), lone.body
    assert notation.sign(image, key=key, SEALWRIGHT_TOKEN_FILE=token).returncode == 0
    body = {"state": "compromised", "reason": "stolen"}
    path = f"/v1/keys/{key}/versions/1/state"
    assert product.call("POST", path, body, who="custodian").status == 200
    refused = notation.sign(image, key=key, SEALWRIGHT_TOKEN_FILE=token)
    assert refused.returncode != 0
    assert f"no version of {key} is active" in refused.stderr


def test_the_page_on_plugins_runs_as_it_is_written(product: Product, tmp_path: Path) -> None:
    """With the real cosign and notation, by their names; the registry is asked by plain HTTP."""
    product.images.push_image("demo/app", "1.0")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "notation").symlink_to(client("notation-cli"))
    (tools / "cosign").symlink_to(client("cosign"))
    lines = console(ROOT / "docs" / "plugins.md")
    said = typed_in(product, tmp_path, [f"export PATH={tools}:$PATH", *lines])
    assert "BEGIN PUBLIC KEY" in said
    assert (tmp_path / "pipeline.token").exists()


def test_the_plugin_answers_with_its_object_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [PLUGIN, "get-plugin-metadata"], input="{}", capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["name"] == "sealwright"
    assert done.stderr == ""
