"""`sealwright sign --push-from-here`: a service that cannot log in at the registry serves as well."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.cli.exits import Exit
from service.domain.digests import Digest
from service.formats.siglist import LOG_ANNOTATION, SIGNATURE_ANNOTATION
from tests.registry.test_registry_auth import HTPASSWD, PASSWORD, USER, certificate
from tests.support.ports import free_port
from tests.support.product import Product, dev_environment
from tests.support.registry import DockerRegistry, StartRegistry

SEALWRIGHT = Path(sys.executable).with_name("sealwright")
FORMATS = ("cosign", "bundle", "notation")

Shell = Callable[..., subprocess.CompletedProcess[str]]


class Guarded(DockerRegistry):
    """Asks for a login, which the job has and the service has not, unless it is `let_in`."""

    def __init__(self, directory: Path, registries: Path) -> None:
        super().__init__(directory, htpasswd=HTPASSWD, login=(USER, PASSWORD))
        self._file = registries
        self.logins = docker_config(directory / "docker", self)

    def start(self) -> None:
        super().start()
        self.logins = docker_config(self._directory / "docker", self)

    def tell_the_service(self, before: dict[str, Any], *, with_login: bool) -> None:
        entry: dict[str, Any] = {"host": self.host, "http": True}
        if with_login:
            entry["docker_config"] = str(self.logins / "config.json")
        self._file.write_text(json.dumps({"registries": [*before["registries"], entry]}))


def docker_config(directory: Path, registry: DockerRegistry, password: str = PASSWORD) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (directory / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
    return directory


@pytest.fixture(scope="module")
def guarded(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    file = Path(dev_environment(product)["SEALWRIGHT_REGISTRIES_FILE"])
    text = file.read_text()
    there = Guarded(tmp_path_factory.mktemp("guarded"), file)
    there.start()
    there.tell_the_service(json.loads(text), with_login=False)
    yield there
    file.write_text(text)
    there.stop()


@pytest.fixture
def shell(product: Product, guarded: Guarded, tmp_path: Path) -> Shell:
    def command(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "SEALWRIGHT_URL": product.url,
            "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
            "DOCKER_CONFIG": str(guarded.logins),
            **more,
        }
        return subprocess.run(
            [SEALWRIGHT, "sign", *words], env=env, capture_output=True, text=True, check=False
        )

    return command


@pytest.fixture
def push(shell: Shell) -> Shell:
    def command(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return shell("--push-from-here", "--registry-plain-http", *words, **more)

    return command


def new_image(registry: DockerRegistry) -> tuple[str, str, Digest]:
    repository = f"pushed/{uuid.uuid4().hex[:12]}"
    digest = registry.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{registry.host}/{repository}@{digest}", repository, digest


def in_formats() -> list[str]:
    return [word for form in FORMATS for word in ("--format", form)]


def test_everything_is_attached_with_the_jobs_own_login_and_verifies(
    product: Product, guarded: Guarded, push: Shell, shell: Shell
) -> None:
    image, repository, digest = new_image(guarded)
    by_the_service = shell(image)
    assert by_the_service.returncode == Exit.UNAVAILABLE
    assert "registry-denied" in by_the_service.stderr
    done = push(image, *in_formats(), "--json")
    assert done.returncode == 0, done.stderr
    [item] = json.loads(done.stdout)["results"]
    assert [made["format"] for made in item["signatures"]] == list(FORMATS)
    assert {made["attachment"]["state"] for made in item["signatures"]} == {"attached"}
    [layer] = guarded.signature_layers(repository, digest)
    # As what the service attaches: stock cosign can check the log.
    assert LOG_ANNOTATION in layer["annotations"]
    held = {made["attachment"]["digest"] for made in item["signatures"][1:]}
    listed = guarded.referrer_entries(repository, digest)
    assert {entry["digest"] for entry in listed} == held
    assert all(entry["annotations"] for entry in listed)
    # Said again, nothing is there to do.
    again = push(image, *in_formats(), "--json")
    assert again.returncode == 0, again.stderr
    assert guarded.signature_layers(repository, digest) == [layer]
    file = Path(dev_environment(product)["SEALWRIGHT_REGISTRIES_FILE"])
    before = json.loads(file.read_text())
    others = [one for one in before["registries"] if one["host"] != guarded.host]
    guarded.tell_the_service({"registries": others}, with_login=True)
    try:
        verdict = product.verdict(image)
    finally:
        guarded.tell_the_service({"registries": others}, with_login=False)
    assert verdict["verdict"] == "verified"
    assert {one["outcome"] for one in verdict["signatures"]} == {"verified"}
    assert {one["format"] for one in verdict["signatures"]} == set(FORMATS)


def test_a_foreign_writer_that_held_the_old_lists_costs_nobody_a_signature(
    guarded: Guarded, push: Shell
) -> None:
    image, repository, digest = new_image(guarded)
    payload = guarded.push_blob(repository, b"theirs")
    config = guarded.push_blob(repository, b"{}")
    layer = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "size": 6,
        "digest": str(payload),
        "annotations": {SIGNATURE_ANNOTATION: "dGhlaXJz"},
    }
    theirs = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": 2,
            "digest": str(config),
        },
        "layers": [layer],
    }
    overwritten = threading.Event()

    def overwrite() -> None:
        """Write, with the empty list in hand, as soon as the other's signature is there."""
        deadline = time.monotonic() + 60
        while guarded.get_manifest(repository, f"sha256-{digest.hex}.sig") is None:
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        time.sleep(0.3)
        guarded.push_manifest(repository, f"sha256-{digest.hex}.sig", json.dumps(theirs).encode())
        overwritten.set()

    writer = threading.Thread(target=overwrite)
    writer.start()
    done = push(image, "--json")
    writer.join()
    assert done.returncode == 0, done.stderr
    assert overwritten.is_set()
    [item] = json.loads(done.stdout)["results"]
    ours = item["signatures"][0]["signature"]
    found = [
        entry["annotations"][SIGNATURE_ANNOTATION]
        for entry in guarded.signature_layers(repository, digest)
    ]
    assert sorted(found) == sorted(["dGhlaXJz", ours])


def test_a_login_that_does_not_reach_is_not_a_registry_that_is_away(
    guarded: Guarded, push: Shell, tmp_path: Path
) -> None:
    image, repository, digest = new_image(guarded)
    wrong = docker_config(tmp_path / "wrong", guarded, "wrong")
    for login in (str(wrong), str(tmp_path / "none")):
        refused = push(image, DOCKER_CONFIG=login)
        assert refused.returncode == Exit.NOT_AUTHORISED, refused.stderr
        assert "registry-denied" in refused.stderr
    away = push(f"127.0.0.1:{free_port()}/{repository}@{digest}")
    assert away.returncode == Exit.UNAVAILABLE
    assert "registry-unavailable" in away.stderr
    absent = push(f"{guarded.host}/{repository}@sha256:{'0' * 64}", "no/IMAGE", image)
    assert absent.returncode == Exit.USAGE
    assert "image-not-found" in absent.stderr
    assert "invalid-reference" in absent.stderr
    # The other image did not suffer.
    assert len(guarded.signature_layers(repository, digest)) == 1


def test_a_credential_helper_is_asked_and_a_registries_file_is_taken(
    guarded: Guarded, shell: Shell, tmp_path: Path
) -> None:
    image, repository, digest = new_image(guarded)
    helper = tmp_path / "docker-credential-ours"
    told = json.dumps({"Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{told}'\n")
    helper.chmod(0o755)
    (tmp_path / "helped").mkdir()
    config = tmp_path / "helped" / "config.json"
    config.write_text(json.dumps({"credHelpers": {guarded.host: "ours"}}))
    entry = {"host": guarded.host, "http": True, "docker_config": str(config)}
    registries = tmp_path / "registries.yaml"
    registries.write_text(json.dumps({"registries": [entry]}))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = shell("--push-from-here", "--registries", str(registries), image, PATH=path)
    assert done.returncode == 0, done.stderr
    assert len(guarded.signature_layers(repository, digest)) == 1


def test_an_index_is_pushed_with_everything_in_it_and_a_tag_is_resolved_by_the_service(
    product: Product, push: Shell
) -> None:
    images, repository = product.images, f"pushed/{uuid.uuid4().hex[:12]}"
    children = [images.push_image(repository, None, {"x": uuid.uuid4().bytes}) for _ in range(2)]
    index = images.push_index(repository, children, "1.0")
    image = f"{product.registry}/{repository}:1.0"
    done = push("--recursive", "--json", image)
    assert done.returncode == 0, done.stderr
    [item] = json.loads(done.stdout)["results"]
    assert [child["digest"] for child in item["children"]] == [str(one) for one in children]
    body = {"images": [{"reference": f"{image}@{index}"}], "recursive": True}
    answer = product.call("POST", "/v1/verifications", body)
    result = answer.body["results"][0]
    assert (result["verdict"], result["n_of_n"]) == ("verified", "2 of 2")


def test_a_registry_with_a_ca_of_its_own_is_reached_by_tls(
    product: Product,
    guarded: Guarded,
    start_registry: StartRegistry,
    shell: Shell,
    tmp_path: Path,
) -> None:
    there = start_registry(tls=certificate(tmp_path))
    image, repository, digest = new_image(there)
    file = Path(dev_environment(product)["SEALWRIGHT_REGISTRIES_FILE"])
    text = file.read_text()
    entries = json.loads(text)["registries"]
    file.write_text(json.dumps({"registries": [*entries, {"host": there.host}]}))
    try:
        untrusted = shell("--push-from-here", image)
        done = shell("--push-from-here", "--registry-ca-file", str(tmp_path / "cert.pem"), image)
    finally:
        file.write_text(text)
    assert untrusted.returncode == Exit.UNAVAILABLE
    assert done.returncode == 0, done.stderr
    assert len(there.signature_layers(repository, digest)) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--push-from-here", "--no-attach"), "attaches by itself"),
        (("--push-from-here", "--async"), "attaches by itself"),
        (("--push-from-here", "--wait", "5s"), "attaches by itself"),
        (("--push-from-here", "--format", "openpgp"), "lookaside"),
        (("--registry-plain-http",), "with --push-from-here alone"),
    ],
)
def test_what_does_not_go_together_is_a_matter_of_usage(
    shell: Shell, words: tuple[str, ...], says: str
) -> None:
    done = shell(*words, "registry.example.com/app@sha256:" + "0" * 64)
    assert done.returncode == Exit.USAGE
    assert says in done.stderr
