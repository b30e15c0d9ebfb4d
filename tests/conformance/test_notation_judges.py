"""notation-go on our Notary Project signatures, in both kinds of envelope (`make conformance`)."""

from __future__ import annotations

import json
import subprocess
import urllib.request
import uuid
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.clients import client
from tests.support.product import Product

FORMATS = ["notation", "notation-cose"]


def trust(product: Product, place: Path, key: str = "release", **change: object) -> Path:
    """Return a configuration directory of notation that trusts this key's root and subject."""
    url = f"{product.url}/v1/keys/{key}/certificate-chain"
    with urllib.request.urlopen(url) as answer:
        chain = x509.load_pem_x509_certificates(answer.read())
    store = place / "truststore" / "x509" / "ca" / "sealwright"
    store.mkdir(parents=True)
    (store / "root.pem").write_bytes(chain[-1].public_bytes(Encoding.PEM))
    subject = ", ".join(
        f"{attribute.rfc4514_attribute_name}={attribute.value}" for attribute in chain[0].subject
    )
    rule = {
        "name": "sealwright",
        "registryScopes": ["*"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:sealwright"],
        "trustedIdentities": [f"x509.subject: {subject}"],
        **change,
    }
    (place / "trustpolicy.json").write_text(json.dumps({"version": "1.0", "trustPolicies": [rule]}))
    return place


def judge(config: Path, image: str) -> subprocess.CompletedProcess[str]:
    words = [client("notation-judge"), str(config), image]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def image(product: Product) -> str:
    repository = f"notation/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}"


def sign(product: Product, image: str, form: str) -> None:
    made = product.sign(image, formats=[form])
    assert made.status == 201, made.body
    assert made.body["results"][0]["signatures"][0]["attachment"]["state"] == "attached"


@pytest.mark.parametrize("form", FORMATS)
def test_notation_takes_what_we_sign_and_refuses_what_is_not_signed(
    product: Product, image: str, form: str, tmp_path: Path
) -> None:
    config = trust(product, tmp_path / "config")
    unsigned = judge(config, image)
    assert unsigned.returncode == 1
    assert "no signature is associated" in unsigned.stderr
    sign(product, image, form)
    done = judge(config, image)
    assert done.returncode == 0, done.stderr
    assert product.verdict(image)["verdict"] == "verified"


@pytest.mark.parametrize("form", FORMATS)
def test_notation_refuses_another_root_and_another_subject(
    product: Product, image: str, form: str, tmp_path: Path
) -> None:
    sign(product, image, form)
    assert judge(trust(product, tmp_path / "good"), image).returncode == 0
    name = ["x509.subject: C=US, ST=WA, O=Somebody else"]
    other = trust(product, tmp_path / "other", trustedIdentities=name)
    refused = judge(other, image)
    assert refused.returncode == 1
    assert "does not match the X.509 trusted identities" in refused.stderr
    root = trust(product, tmp_path / "root")
    key = f"lone-{uuid.uuid4().hex[:6]}"
    body = {"name": key, "purpose": "image", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    lone = product.call("POST", f"/v1/keys/{key}/self-sign", {"lone": True}, who="custodian")
    assert lone.status in (200, 201), lone.body
    (root / "truststore" / "x509" / "ca" / "sealwright" / "root.pem").write_text(
        product.call("GET", f"/v1/keys/{key}/certificate-chain", who=None).body
    )
    refused = judge(root, image)
    assert refused.returncode == 1
    assert "does not contain any trusted certificate" in refused.stderr
