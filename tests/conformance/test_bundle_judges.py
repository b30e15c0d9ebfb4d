"""cosign 3 and 2.6 on our bundles: accepted as they are, refused for every other reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from service.domain.digests import Descriptor, Digest
from service.domain.public_keys import PublicKey
from service.formats.bundle import bundle, signature_referrer
from service.formats.intoto import signing_statement
from service.formats.referrer import CREATED
from tests.support.clients import referrers_registry
from tests.support.cosign import Cosign
from tests.support.product import Product, start_dev, stop_dev
from tests.support.registry import OCI_INDEX

ALGORITHMS = ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"]
Sign = Callable[..., list[dict[str, object]]]
BUNDLE: dict[str, object] = {"formats": ["bundle"]}


def push(product: Product, name: str) -> tuple[str, str, Digest]:
    """Return the image's reference, its repository and its digest."""
    repository = f"bundles/{name}"
    files = {"app/name": name.encode(), "app/main": b"print('hello')\n"}
    digest = product.images.push_image(repository, files=files)
    return f"{product.registry}/{repository}@{digest}", repository, digest


def only_bundle(product: Product, repository: str, digest: Digest) -> tuple[dict[str, Any], Any]:
    """Return the manifest and the content of the image's only bundle."""
    (entry,) = product.images.referrer_entries(repository, digest)
    stored = product.images.get_manifest(repository, str(entry["digest"]))
    assert stored is not None
    manifest = json.loads(stored.content)
    content = product.images.get_blob(repository, manifest["layers"][0]["digest"])
    assert content is not None
    return manifest, json.loads(content)


def put_bundle(
    product: Product, repository: str, subject: Digest, manifest: dict[str, Any], content: Any
) -> None:
    """Make this bundle the only referrer of `subject`."""
    images = product.images
    blob = json.dumps(content).encode()
    layer = {**manifest["layers"][0], "digest": str(images.push_blob(repository, blob))}
    changed = {**manifest, "layers": [{**layer, "size": len(blob)}]}
    changed["subject"] = {**manifest["subject"], "digest": str(subject)}
    body = json.dumps(changed).encode()
    pushed = images.push_manifest(repository, str(Digest.of(body)), body)
    entry = {"mediaType": manifest["mediaType"], "size": len(body), "digest": str(pushed)}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    images.push_manifest(repository, f"sha256-{subject.hex}", json.dumps(index).encode(), OCI_INDEX)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cosign_accepts_what_a_key_of_each_algorithm_signed(
    product: Product, both_cosigns: list[Cosign], sign: Sign, tmp_path: Path, algorithm: str
) -> None:
    wanted = {"name": f"b-{algorithm}", "purpose": "image", "algorithm": algorithm}
    made = product.call("POST", "/v1/keys", wanted, who="custodian")
    assert made.status == 201, made.body
    image, _, _ = push(product, algorithm)
    key = tmp_path / "key.pem"
    key.write_text(product.public_key(f"b-{algorithm}"))
    assert not any(judge.accepts(key, image) for judge in both_cosigns)
    sign(image, f"b-{algorithm}", **BUNDLE)
    for judge in both_cosigns:
        done = judge.verify(key, image)
        assert done.returncode == 0, done.stderr


def test_cosign_accepts_both_formats_at_once_and_each_version_of_it_reads_one(
    product: Product, cosign: Cosign, older_cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, _, _ = push(product, "both")
    made = sign(image)
    assert [one["format"] for one in made] == ["cosign", "bundle"]
    assert cosign.accepts(release, image)
    assert older_cosign.accepts(release, image)
    assert cosign.accepts(release, image, "--new-bundle-format=false")


def test_cosign_refuses_another_key(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, _, _ = push(product, "other-key")
    sign(image, **BUNDLE)
    _, other = cosign.new_key("b-other")
    assert cosign.accepts(release, image)
    assert not cosign.accepts(other, image)


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_cosign_refuses_a_bundle_that_was_changed(
    product: Product, cosign: Cosign, sign: Sign, release: Path, part: str
) -> None:
    image, repository, digest = push(product, f"changed-{part}")
    sign(image, **BUNDLE)
    product.left_alone(digest)
    manifest, content = only_bundle(product, repository, digest)
    put_bundle(product, repository, digest, manifest, content)
    assert cosign.accepts(release, image)  # as it was, put there by the same means
    envelope = content["dsseEnvelope"]
    if part == "payload":
        statement = base64.b64decode(envelope["payload"])
        envelope["payload"] = base64.b64encode(statement + b" ").decode()
    else:
        raw = base64.b64decode(envelope["signatures"][0]["sig"])
        envelope["signatures"][0]["sig"] = base64.b64encode(raw[:-1] + b"\x00").decode()
    put_bundle(product, repository, digest, manifest, content)
    assert not cosign.accepts(release, image)
    assert product.verdict(image)["verdict"] == "rejected"


def test_cosign_refuses_a_bundle_moved_to_another_image(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, repository, digest = push(product, "moved")
    sign(image, **BUNDLE)
    manifest, content = only_bundle(product, repository, digest)
    other = product.images.push_image(repository, files={"app/name": b"changed"})
    put_bundle(product, repository, other, manifest, content)
    assert cosign.accepts(release, image)
    moved = f"{product.registry}/{repository}@{other}"
    assert not cosign.accepts(release, moved)
    assert product.verdict(moved)["reasons"][0]["code"] == "wrong-digest"


def test_a_foreign_bundle_beside_only_our_sig_is_refused_and_told_and_cured_by_ours(
    product: Product, cosign: Cosign, older_cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, _, _ = push(product, "foreign")
    sign(image, formats=["cosign"])
    assert cosign.accepts(release, image)
    private, public = cosign.new_key("b-foreign")
    cosign.sign(private, image, bundle=True)
    for judge in (cosign, older_cosign):
        assert not judge.accepts(release, image)
        assert judge.accepts(public, image)
    verdict = product.verdict(image)
    assert verdict["verdict"] == "verified"
    (warning,) = [one for one in verdict["warnings"] if one["code"] == "foreign-bundle"]
    assert "bundle" in warning["cure"]
    sign(image)
    for judge in (cosign, older_cosign):
        assert judge.accepts(release, image)
        assert judge.accepts(public, image)
    assert product.verdict(image)["warnings"] == []


def test_cosign_accepts_a_claimed_name_and_finds_the_annotations(
    product: Product, both_cosigns: list[Cosign], signer: str, release: Path
) -> None:
    image, repository, _ = push(product, "named")
    name = f"{product.registry}/{repository}:9.9"
    body = {
        "images": [{"reference": image, "identity": name}],
        "key": "release",
        "annotations": {"org.example.commit": "<abc>&"},
    }
    bearer = {"Authorization": f"Bearer {signer}"}
    made = product.call("POST", "/v1/signatures", body, who=None, headers=bearer)
    assert made.status == 201, made.body
    for cosign in both_cosigns:
        assert cosign.accepts(release, image, "-a", "org.example.commit=<abc>&")
    # 2.6 does not look at the annotations of bundles.
    assert not both_cosigns[0].accepts(release, image, "-a", "org.example.commit=other")
    named = [one["identity"] for one in product.verdict(image)["signatures"]]
    assert named == [name, name]


def test_an_attestation_is_a_signature_to_cosign_and_none_to_us(
    product: Product, cosign: Cosign, release: Path
) -> None:
    image, _, _ = push(product, "attested")
    private, public = cosign.new_key("b-attest")
    cosign.attest(private, image, {"scanner": {"result": "FAILED"}}, "https://x.example/scan")
    assert cosign.accepts(public, image)
    assert not cosign.accepts(release, image)
    assert product.verdict(image)["verdict"] == "unsigned"


@pytest.mark.parametrize("first", ["cosign", "sealwright"])
def test_cosign_and_we_keep_each_others_bundles(
    product: Product, cosign: Cosign, sign: Sign, release: Path, first: str
) -> None:
    image, repository, digest = push(product, f"after-{first}")
    private, public = cosign.new_key(f"b-after-{first}")
    writers: list[Callable[[], object]] = [
        lambda: cosign.sign(private, image, bundle=True),
        lambda: sign(image),
    ]
    for write in writers if first == "cosign" else reversed(writers):
        write()
    for key in (public, release):
        done = cosign.verify(key, image)
        assert done.returncode == 0, done.stderr
    assert len(product.images.referrer_entries(repository, digest)) == 2
    assert product.verdict(image)["verdict"] == "verified"


def test_a_descriptor_of_a_deleted_bundle_keeps_cosign_out_until_we_sign_again(
    product: Product, cosign: Cosign, sign: Sign, release: Path
) -> None:
    image, repository, digest = push(product, "dead")
    private, _ = cosign.new_key("b-dead")
    cosign.sign(private, image, bundle=True)
    (entry,) = product.images.referrer_entries(repository, digest)
    path = f"/v2/{repository}/manifests/{entry['digest']}"
    assert product.images.request("DELETE", path).status == 202
    codes = [one["code"] for one in product.verdict(image)["warnings"]]
    assert codes == ["dead-referrer"]
    sign(image)
    assert product.verdict(image)["warnings"] == []
    assert cosign.accepts(release, image)


def test_we_write_what_cosign_writes_to_the_byte(product: Product, cosign: Cosign) -> None:
    image, repository, digest = push(product, "bytes")
    private, public = cosign.new_key("b-bytes")
    cosign.sign(private, image, bundle=True)
    manifest, content = only_bundle(product, repository, digest)
    envelope = content["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    assert payload == signing_statement(digest, ())
    spki = PublicKey.parse(_der(public)).der
    ours = bundle(payload, signature, public_key=spki)
    stored = product.images.get_blob(repository, manifest["layers"][0]["digest"])
    assert stored is not None
    # protobuf's own spacing is not stable from one build to the next.
    assert json.loads(ours) == json.loads(stored)
    held = product.images.get_manifest(repository, str(digest))
    assert held is not None
    at = datetime.fromisoformat(manifest["annotations"][CREATED])
    subject = Descriptor(held.media_type, digest, len(held.content))
    made = signature_referrer(stored, at=at, subject=subject)
    (entry,) = product.images.referrer_entries(repository, digest)
    assert str(made.digest) == entry["digest"]


def _der(public: Path) -> bytes:
    lines = public.read_text().splitlines()
    return base64.b64decode("".join(line for line in lines if "-----" not in line))


# --- registries that have the referrers API ---


@pytest.fixture(scope="module", params=["ggcr", "ociregistry"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """The product on a registry that lists referrers by itself."""
    with referrers_registry(request.param) as registry:
        directory = tmp_path_factory.mktemp(request.param)
        process, product = start_dev(directory / "state", "--registry", registry.host)
        yield replace(product, registry=registry.host)
        assert stop_dev(process) == 0


def test_where_the_registry_lists_referrers_no_tag_is_written_and_cosign_accepts(
    elsewhere: Product, cosign: Cosign, tmp_path: Path
) -> None:
    image, repository, digest = push(elsewhere, "listed")
    key = tmp_path / "key.pem"
    key.write_text(elsewhere.public_key())
    assert elsewhere.verdict(image)["verdict"] == "unsigned"
    assert not cosign.accepts(key, image)
    answer = elsewhere.sign(image)
    assert answer.status == 201, answer.body
    states = [one["attachment"]["state"] for one in answer.body["results"][0]["signatures"]]
    assert states == ["attached", "attached"]
    assert elsewhere.images.get_manifest(repository, f"sha256-{digest.hex}") is None
    done = cosign.verify(key, image)
    assert done.returncode == 0, done.stderr
    verdict = elsewhere.verdict(image)
    found = [(one["format"], one["outcome"]) for one in verdict["signatures"]]
    assert found == [("cosign", "verified"), ("bundle", "verified")]
    assert verdict["warnings"] == []


def test_a_bundle_deleted_there_is_put_back_by_signing_again(
    elsewhere: Product, cosign: Cosign, tmp_path: Path
) -> None:
    image, repository, _ = push(elsewhere, "deleted")
    key = tmp_path / "key.pem"
    key.write_text(elsewhere.public_key())
    (made,) = elsewhere.sign(image, formats=["bundle"]).body["results"][0]["signatures"]
    path = f"/v2/{repository}/manifests/{made['attachment']['digest']}"
    assert elsewhere.images.request("DELETE", path).status in (200, 202)
    assert not cosign.accepts(key, image)
    elsewhere.sign(image, formats=["bundle"])
    assert cosign.accepts(key, image)
