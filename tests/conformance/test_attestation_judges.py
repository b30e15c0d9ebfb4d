"""cosign 3 and 2.6 on our attestations: taken as what they are, and never for a signature."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.cli.attest import TYPES
from service.domain.digests import Digest
from tests.support.clients import referrers_registry
from tests.support.cosign import Cosign
from tests.support.predicates import GOOD, SLSA, provenance
from tests.support.product import Product, start_dev, stop_dev
from tests.support.registry import OCI_INDEX, OCI_MANIFEST

SHORT = {
    "slsaprovenance1": SLSA,
    "spdxjson": TYPES["spdxjson"],
    "cyclonedx": TYPES["cyclonedx"],
    "vuln": TYPES["vuln"],
    "openvex": TYPES["openvex"],
}


def sealwright(product: Product, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "SEALWRIGHT_URL": product.url,
        "SEALWRIGHT_TOKEN_FILE": str(product.state / "credentials" / "builder"),
    }
    return subprocess.run(
        [str(Path(sys.executable).with_name("sealwright")), *words],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def attest(product: Product, image: str, kind: str, predicate: Any, **fields: object) -> None:
    one = {"image": image, "predicate_type": kind, "predicate": predicate}
    body = {"attestations": [one], "key": "build", **fields}
    made = product.call("POST", "/v1/attestations", body)
    assert made.status == 201, made.body
    [attestation] = made.body["results"][0]["signatures"]
    assert attestation["attachment"]["state"] == "attached"


def push(product: Product) -> tuple[str, str, Digest]:
    repository = f"attested/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, files={"app/name": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}", repository, digest


@pytest.fixture(scope="module", params=["docker-registry", "ggcr", "ociregistry"])
def there(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """The product on a registry without the referrers API, and on two that have it."""
    if request.param == "docker-registry":
        yield request.getfixturevalue("product")
        return
    with referrers_registry(request.param) as registry:
        directory = tmp_path_factory.mktemp(request.param)
        process, product = start_dev(directory / "state", "--registry", registry.host)
        yield replace(product, registry=registry.host)
        assert stop_dev(process) == 0


def exported(product: Product, place: Path, key: str) -> Path:
    done = sealwright(product, "trust", "export", "--key", key, str(place))
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def build(there: Product, tmp_path: Path) -> Path:
    # The log is named in the trusted root from its first entry on.
    image, _, _ = push(there)
    attest(there, image, SLSA, provenance())
    return exported(there, tmp_path / "build", "build")


@pytest.fixture
def release(there: Product, build: Path, tmp_path: Path) -> Path:
    return exported(there, tmp_path / "release", "release")


@pytest.mark.parametrize("name", SHORT)
def test_cosign_takes_each_type_by_its_name_and_by_its_uri(
    there: Product, both_cosigns: list[Cosign], build: Path, tmp_path: Path, name: str
) -> None:
    image, _, _ = push(there)
    for cosign in both_cosigns:
        assert cosign.verify_attestation(build, image, name).returncode != 0
    file = tmp_path / "predicate.json"
    file.write_text(json.dumps(GOOD[SHORT[name]]()))
    done = sealwright(there, "attest", image, "--type", name, "--predicate", str(file))
    assert done.returncode == 0, done.stderr
    for cosign in both_cosigns:
        for kind in (name, SHORT[name]):
            done = cosign.verify_attestation(build, image, kind)
            assert done.returncode == 0, (cosign.program, done.stderr)
        printed = json.loads(done.stdout.splitlines()[-1])
        statement = json.loads(base64.b64decode(printed["payload"]))
        assert statement["predicate"] == GOOD[SHORT[name]]()
        other = "custom" if name != "custom" else "link"
        assert cosign.verify_attestation(build, image, other).returncode != 0


def test_our_attestation_is_no_signature_to_cosign_and_our_signature_no_attestation(
    there: Product, both_cosigns: list[Cosign], build: Path, release: Path
) -> None:
    attested, _, _ = push(there)
    attest(there, attested, SLSA, provenance())
    signed, _, _ = push(there)
    made = there.sign(signed, key="release")
    assert made.status == 201
    key = release / "cosign.pub"
    proof = ("--trusted-root", str(release / "trusted_root.json"), "--allow-http-registry")
    for cosign in both_cosigns:

        def verifies(image: str, *, cosign: Cosign = cosign) -> bool:
            return cosign.run("verify", "--key", str(key), *proof, image).returncode == 0

        assert cosign.verify_attestation(build, attested, SLSA).returncode == 0
        assert not verifies(attested)
        assert verifies(signed)
        assert cosign.verify_attestation(build, signed, SLSA).returncode != 0
        assert cosign.verify_attestation(release, attested, SLSA).returncode != 0
    assert there.verdict(attested)["verdict"] == "unsigned"
    assert there.verdict(signed)["verdict"] == "verified"


def test_both_on_one_image_are_taken_each_by_its_own_key(
    there: Product, both_cosigns: list[Cosign], build: Path, release: Path
) -> None:
    image, _, _ = push(there)
    attest(there, image, SLSA, provenance())
    assert there.sign(image, key="release").status == 201
    attest(there, image, "https://example.com/scan", {"result": "FAILED"})
    for cosign in both_cosigns:
        for kind in (SLSA, "https://example.com/scan"):
            done = cosign.verify_attestation(build, image, kind)
            assert done.returncode == 0, done.stderr
        words = ("--key", str(release / "cosign.pub"), "--allow-http-registry")
        root = ("--trusted-root", str(release / "trusted_root.json"))
        assert cosign.run("verify", *words, *root, image).returncode == 0


def test_cosign_refuses_another_key_and_another_log(
    there: Product, both_cosigns: list[Cosign], build: Path, tmp_path: Path
) -> None:
    image, _, _ = push(there)
    attest(there, image, SLSA, provenance())
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    _, public = both_cosigns[0].new_key(f"a-{uuid.uuid4().hex[:8]}")
    (stranger / "cosign.pub").write_text(public.read_text())
    root = json.loads((build / "trusted_root.json").read_text())
    (stranger / "trusted_root.json").write_text(json.dumps(root))
    logless = tmp_path / "logless"
    logless.mkdir()
    (logless / "cosign.pub").write_text((build / "cosign.pub").read_text())
    (logless / "trusted_root.json").write_text(json.dumps({**root, "tlogs": []}))
    for cosign in both_cosigns:
        assert cosign.verify_attestation(build, image, SLSA).returncode == 0
        assert cosign.verify_attestation(stranger, image, SLSA).returncode != 0
        assert cosign.verify_attestation(logless, image, SLSA).returncode != 0


def stored(product: Product, repository: str, digest: Digest) -> tuple[dict[str, Any], Any]:
    """Return the manifest and the bundle of the only attestation, from the fallback index."""
    [entry] = product.images.referrer_entries(repository, digest)
    found = product.images.get_manifest(repository, str(entry["digest"]))
    assert found is not None
    manifest = json.loads(found.content)
    content = product.images.get_blob(repository, manifest["layers"][0]["digest"])
    assert content is not None
    return manifest, json.loads(content)


def put(
    product: Product, repository: str, subject: Digest, manifest: dict[str, Any], content: Any
) -> None:
    """Make this bundle the only one that refers to `subject`."""
    blob = json.dumps(content).encode()
    layer = {**manifest["layers"][0], "size": len(blob)}
    layer["digest"] = str(product.images.push_blob(repository, blob))
    changed = {**manifest, "layers": [layer]}
    changed["subject"] = {**manifest["subject"], "digest": str(subject)}
    body = json.dumps(changed).encode()
    pushed = product.images.push_manifest(repository, str(Digest.of(body)), body)
    entry = {"mediaType": OCI_MANIFEST, "size": len(body), "digest": str(pushed)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    tag = f"sha256-{subject.hex}"
    product.images.push_manifest(repository, tag, json.dumps(index).encode(), OCI_INDEX)


@pytest.mark.parametrize("change", ["predicate", "digest"])
def test_cosign_and_we_refuse_what_was_changed_or_moved(
    product: Product, both_cosigns: list[Cosign], tmp_path: Path, change: str
) -> None:
    image, repository, digest = push(product)
    attest(product, image, "https://example.com/scan", {"result": "FAILED"})
    build = exported(product, tmp_path / "build", "build")
    product.left_alone(digest)
    manifest, bundle = stored(product, repository, digest)
    put(product, repository, digest, manifest, bundle)
    for cosign in both_cosigns:  # as it was, put there by the same means
        done = cosign.verify_attestation(build, image, "https://example.com/scan")
        assert done.returncode == 0, done.stderr
    if change == "predicate":
        envelope = bundle["dsseEnvelope"]
        said = base64.b64decode(envelope["payload"]).replace(b"FAILED", b"PASSED")
        envelope["payload"] = base64.b64encode(said).decode()
        put(product, repository, digest, manifest, bundle)
        reason = "untrusted-key"
    else:
        digest = product.images.push_image(repository, files={"app/name": uuid.uuid4().bytes})
        image = f"{product.registry}/{repository}@{digest}"
        put(product, repository, digest, manifest, bundle)
        reason = "wrong-digest"
    for cosign in both_cosigns:
        refused = cosign.verify_attestation(build, image, "https://example.com/scan")
        assert refused.returncode != 0
    verdict = product.verdict(image)
    assert verdict["verdict"] == "unsigned"
    told = [(one["outcome"], one["reason"]["code"]) for one in verdict["attestations"]]
    assert told == [("rejected", reason)]
