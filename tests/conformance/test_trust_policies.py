"""Images that stock clients signed with keys of their own, under a trust policy of the product.

Keyless signatures are made with an authority and logs of a test's own; cosign 3 judges the very
same bytes at the registry.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Descriptor, Digest
from service.domain.media_types import OCI_INDEX, OCI_MANIFEST
from service.formats.bundle import signature_referrer
from tests.conformance.test_notation_plugin import Notation
from tests.support import chains
from tests.support.cosign import Cosign
from tests.support.product import Product
from tests.support.sigstore import ISSUER, MOMENT, NAME, Instance, a_key, statement

OURS = Instance()
OTHER = Instance()
NOTATION_SUBJECT = "x509.subject: C=CH, ST=Bern, O=Example, CN=release 1"


@dataclass(frozen=True)
class Site:
    """The product once its policy is in force in each of its processes; keys of its vendor."""

    product: Product
    key: Path
    strangers_key: Path
    notation: Notation
    root: Path

    def push(self, place: str) -> str:
        repository = f"{place}/{uuid.uuid4().hex[:12]}"
        digest = self.product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
        return f"{self.product.registry}/{repository}@{digest}"

    def refer(self, image: str, content: bytes) -> None:
        """Attach a bundle as cosign does where a registry has no referrers API."""
        repository, subject = parts(self.product, image)
        images = self.product.images
        stored = images.get_manifest(repository, str(subject))
        assert stored is not None
        about = Descriptor(OCI_MANIFEST, subject, len(stored.content))
        made = signature_referrer(content, at=datetime.now(UTC), subject=about)
        for blob in made.blobs:
            images.push_blob(repository, blob)
        images.push_manifest(repository, str(made.digest), made.manifest)
        entry = {"mediaType": OCI_MANIFEST, "size": len(made.manifest), "digest": str(made.digest)}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        tag = f"sha256-{subject.hex}"
        images.push_manifest(repository, tag, json.dumps(index).encode(), OCI_INDEX)

    def signatures(self, image: str) -> tuple[str, list[dict[str, Any]]]:
        verdict = self.product.verdict(image)
        return verdict["verdict"], verdict["signatures"]


def parts(product: Product, image: str) -> tuple[str, Digest]:
    repository, _, digest = image.removeprefix(f"{product.registry}/").partition("@")
    return repository, Digest.parse(digest)


def notation_signer(home: Path) -> tuple[Notation, str]:
    """Return notation with a key of its own on disk, and the root above it in PEM."""
    now = datetime.now(UTC)
    around = {"begin": now - timedelta(days=1), "end": now + timedelta(days=300)}
    specs = [replace(spec, **around) for spec in chains.chain_specs(3)]
    chain = chains.issue(specs)
    place = home / ".config" / "notation"
    place.mkdir(parents=True)
    key, certificates = place / "vendor.key", place / "vendor.pem"
    key.write_bytes(specs[0].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificates.write_text(chains.pem_of(chain))
    named = {"name": "vendor", "keyPath": str(key), "certPath": str(certificates)}
    (place / "signingkeys.json").write_text(json.dumps({"default": "vendor", "keys": [named]}))
    return Notation(home), chains.pem_of(chain[-1:])


@pytest.fixture(scope="module")
def site(product: Product, cosign: Cosign, tmp_path_factory: pytest.TempPathFactory) -> Site:
    directory = tmp_path_factory.mktemp("policies")
    key, public = cosign.new_key("vendor")
    strangers, _ = cosign.new_key("stranger")
    notation, root = notation_signer(directory / "home")
    (directory / "root.json").write_text(json.dumps(OURS.trusted_root()))
    site = Site(product, key, strangers, notation, directory / "root.json")
    here = product.registry
    file = product.state / "policy.yaml"
    policy = json.loads(file.read_text())
    trust = policy.setdefault("trust", {})
    trust.setdefault("keys", []).append({"name": "vendor", "public_key": public.read_text()})
    trust["policies"] = [
        {
            "name": "by-key",
            "repositories": [f"{here}/by-key/*"],
            "our_keys": False,
            "keys": ["vendor"],
        },
        {
            "name": "both",
            "repositories": [f"{here}/both/*"],
            "our_keys": True,
            "keys": ["vendor"],
        },
        {
            "name": "keyless",
            "repositories": [f"{here}/keyless/*"],
            "our_keys": False,
            "identities": [{"name": NAME, "issuer": ISSUER}],
            "trusted_root": site.root.read_text(),
        },
        {
            "name": "notation",
            "repositories": [f"{here}/vendors/*"],
            "our_keys": False,
            "notation": {"roots": root, "identities": [NOTATION_SUBJECT]},
        },
    ]
    new = file.with_name("policy.new")
    new.write_text(json.dumps(policy))
    new.replace(file)
    image = site.push("by-key")
    cosign.sign(key, image)
    told, until = 0, time.monotonic() + 60
    while told < 12:  # as many answers in a row, so that every process has read the file
        assert time.monotonic() < until, site.signatures(image)
        told = told + 1 if site.signatures(image)[0] == "verified" else 0
        time.sleep(0 if told else 0.2)
    return site


@pytest.mark.parametrize("bundle", [False, True], ids=["sig", "bundle"])
def test_what_cosign_signed_with_a_vendors_key_is_verified_where_the_policy_says_so(
    site: Site, both_cosigns: list[Cosign], bundle: bool
) -> None:
    for cosign in both_cosigns[:1] if bundle else both_cosigns:
        image = site.push("by-key")
        assert site.signatures(image)[0] == "unsigned"
        cosign.sign(site.strangers_key, image, bundle=bundle)
        verdict, (stranger,) = site.signatures(image)
        assert (verdict, stranger["reason"]["code"]) == ("rejected", "untrusted-key")
        cosign.sign(site.key, image, bundle=bundle)
        verdict, found = site.signatures(image)
        assert verdict == "verified"
        (good,) = [one for one in found if one["outcome"] == "verified"]
        assert (good["key"], good["key_version"], good["policy"]) == ("vendor", None, "by-key")
    elsewhere = site.push("elsewhere")
    cosign.sign(site.key, elsewhere, bundle=bundle)
    assert site.signatures(elsewhere)[0] == "rejected"


def test_our_own_signature_counts_only_where_the_policy_says_so(site: Site) -> None:
    verdicts = {}
    for place in ("by-key", "both", "elsewhere"):
        image = site.push(place)
        assert site.product.sign(image).status == 201
        verdicts[place] = site.signatures(image)[0]
    assert verdicts == {"by-key": "rejected", "both": "verified", "elsewhere": "verified"}


def keyless(image: str, instance: Instance = OURS, **how: Any) -> dict[str, Any]:
    digest = image.partition("@sha256:")[2]
    inside = statement(digest, predicate_type=COSIGN_SIGN)
    return instance.bundle(b"", payload=inside, in_envelope=True, entry="dsse 0.0.1", **how)


def cosign_takes(site: Site, cosign: Cosign, image: str, *more: str) -> bool:
    who = ("--certificate-identity", NAME, "--certificate-oidc-issuer", ISSUER)
    words = ("--trusted-root", str(site.root), "--allow-http-registry", *who, *more, image)
    return cosign.run("verify", *words).returncode == 0


def test_a_keyless_bundle_is_verified_as_cosign_verifies_the_same_bytes(
    site: Site, cosign: Cosign
) -> None:
    image = site.push("keyless")
    site.refer(image, json.dumps(keyless(image)).encode())
    assert cosign_takes(site, cosign, image)
    verdict, (good,) = site.signatures(image)
    assert verdict == "verified", good
    assert (good["certificate_identity"], good["certificate_issuer"]) == (NAME, ISSUER)
    assert (good["policy"], good["key"]) == ("keyless", None)
    key = a_key()
    expired = OURS.certificate(key, start=MOMENT - timedelta(minutes=11))
    somebody = OURS.certificate(key, issuer="https://example.net")
    bad = {
        "(log-untrusted)": keyless(image, OTHER),
        "(certificate-expired)": keyless(image, key=key, certificate=expired),
        "whom keyless does not trust": keyless(image, key=key, certificate=somebody),
        "about other files": keyless(f"{image.partition('@')[0]}@sha256:{'0' * 64}"),
    }
    for text, bundle in bad.items():
        site.refer(image, json.dumps(bundle).encode())
        assert not cosign_takes(site, cosign, image), text
        verdict, (refused,) = site.signatures(image)
        assert (verdict, text in refused["reason"]["text"]) == ("rejected", True), refused


def put_keyless_layer(site: Site, image: str, instance: Instance = OURS) -> None:
    """Put a `.sig` as cosign 2 makes it without keys."""
    repository, subject = parts(site.product, image)
    document = {
        "critical": {
            "identity": {"docker-reference": image.partition("@")[0]},
            "image": {"docker-manifest-digest": str(subject)},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    payload = json.dumps(document, separators=(",", ":")).encode()
    key = a_key()
    # For a `.sig`, cosign reads the older of the two names of an issuer; Fulcio writes both.
    leaf = instance.certificate(key, issuer_v1=ISSUER)
    made = instance.bundle(payload, key=key, certificate=leaf)
    (entry,) = made["verificationMaterial"]["tlogEntries"]
    logged = {
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": int(entry["logIndex"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        },
    }
    images = site.product.images
    config = b"{}"
    layer = {
        "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
        "digest": str(images.push_blob(repository, payload)),
        "size": len(payload),
        "annotations": {
            "dev.cosignproject.cosign/signature": made["messageSignature"]["signature"],
            "dev.sigstore.cosign/bundle": json.dumps(logged),
            "dev.sigstore.cosign/certificate": leaf.public_bytes(Encoding.PEM).decode(),
        },
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": str(images.push_blob(repository, config)),
            "size": len(config),
        },
        "layers": [layer],
    }
    images.push_manifest(repository, f"sha256-{subject.hex}.sig", json.dumps(manifest).encode())


def test_a_keyless_layer_is_verified_as_cosign_verifies_the_same_bytes(
    site: Site, cosign: Cosign
) -> None:
    image = site.push("keyless")
    put_keyless_layer(site, image, OTHER)
    older = ("--new-bundle-format=false",)
    assert not cosign_takes(site, cosign, image, *older)
    assert site.signatures(image)[0] == "rejected"
    put_keyless_layer(site, image)
    assert cosign_takes(site, cosign, image, *older)
    verdict, (good,) = site.signatures(image)
    assert (verdict, good["certificate_identity"]) == ("verified", NAME), good


@pytest.mark.parametrize("form", ["jws", "cose"])
def test_what_notation_signed_with_a_vendors_key_is_verified_under_its_root(
    site: Site, form: str
) -> None:
    image = site.push("vendors")
    done = site.notation.run("sign", "--insecure-registry", "--signature-format", form, image)
    assert done.returncode == 0, done.stderr
    verdict, (good,) = site.signatures(image)
    assert verdict == "verified", good
    assert good["certificate_identity"] == "CN=release 1,O=Example,ST=Bern,C=CH"
    elsewhere = site.push("by-key")
    done = site.notation.run("sign", "--insecure-registry", "--signature-format", form, elsewhere)
    assert done.returncode == 0, done.stderr
    verdict, (refused,) = site.signatures(elsewhere)
    assert (verdict, refused["reason"]["code"]) == ("rejected", "untrusted-key")
