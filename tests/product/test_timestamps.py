"""Our own time-stamping authority in the running product: openssl asks it, and checks it."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from hashlib import sha256
from pathlib import Path

import pytest
import urllib3

from service.domain.digests import Digest
from service.domain.keys import Scheme
from service.formats.notation.envelope import to_raw
from service.formats.notation.form import BY_MEDIA_TYPE
from service.formats.rfc3161 import query, token_of
from tests.support.product import Product

QUERY = "application/timestamp-query"


def ask(product: Product, asked: bytes, kind: str = QUERY) -> urllib3.BaseHTTPResponse:
    return urllib3.request(
        "POST", f"{product.url}/v1/timestamps", body=asked, headers={"Content-Type": kind}
    )


def openssl(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", "ts", *words], cwd=place, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def authority(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the authority's root and a query that openssl made."""
    name = f"tsa-{uuid.uuid4().hex[:6]}"
    body = {"name": name, "purpose": "timestamp", "algorithm": "ec-p256"}
    assert product.call("POST", "/v1/keys", body, who="custodian").status == 201
    made = product.call("POST", f"/v1/keys/{name}/self-sign", {}, who="custodian")
    assert made.status in (200, 201), made.body
    place = tmp_path_factory.mktemp("tsa")
    chain = product.call("GET", f"/v1/keys/{name}/certificate-chain", who=None).body
    end = "-----END CERTIFICATE-----\n"
    (place / "root.pem").write_text(chain.split(end)[-2] + end)
    (place / "message").write_bytes(b"the raw bytes of a signature")
    done = openssl(place, "-query", "-data", "message", "-sha256", "-cert", "-out", "query")
    assert done.returncode == 0, done.stderr
    return place


def test_openssl_takes_the_reply_and_refuses_it_for_something_else(
    product: Product, authority: Path
) -> None:
    answer = ask(product, (authority / "query").read_bytes())
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/timestamp-reply"
    (authority / "reply").write_bytes(answer.data)
    words = ("-verify", "-in", "reply", "-CAfile", "root.pem")
    done = openssl(authority, *words, "-queryfile", "query")
    assert "Verification: OK" in done.stdout + done.stderr
    (authority / "other").write_bytes(b"something else")
    assert openssl(authority, *words, "-data", "other").returncode != 0


def test_a_query_that_cannot_be_granted_is_rejected_in_the_protocol_s_own_words(
    product: Product, authority: Path
) -> None:
    openssl(authority, "-query", "-data", "message", "-md5", "-out", "md5")
    (authority / "rejected").write_bytes(ask(product, (authority / "md5").read_bytes()).data)
    shown = openssl(authority, "-reply", "-in", "rejected", "-text").stdout
    assert "Status: Rejected." in shown
    assert ask(product, b"nonsense").status == 200


def test_what_is_no_query_at_all_is_a_problem(product: Product, authority: Path) -> None:
    asked = (authority / "query").read_bytes()
    assert ask(product, asked, "application/json").status == 415
    assert ask(product, asked + bytes(5000)).status == 413


def test_each_token_is_on_record(product: Product, authority: Path) -> None:
    imprint = sha256(uuid.uuid4().bytes)
    assert ask(product, query(imprint.digest(), nonce=1)).status == 200
    deadline = time.monotonic() + 60
    while True:
        found = product.call("GET", "/v1/audit-events?action=timestamp.made", who="auditor")
        assert found.status == 200, found.body
        entries = [base64.b64decode(item["entry"]).decode() for item in found.body["items"]]
        if any(f"sha256:{imprint.hexdigest()}" in entry for entry in entries):
            return
        # The audit log shows what a checkpoint covers, which comes a moment later.
        assert time.monotonic() < deadline
        time.sleep(0.2)


def stamps_at_the_registry(product: Product, image: str) -> dict[str, bytes]:
    """What lies in each format's place: a whole reply, or notation's token alone."""
    registry, (repository, _, digest) = product.images, image.partition("/")[2].partition("@")
    found: dict[str, bytes] = {}
    [layer] = registry.signature_layers(repository, Digest.parse(digest))
    annotation = json.loads(layer["annotations"]["dev.sigstore.cosign/rfc3161timestamp"])
    found["cosign"] = base64.b64decode(annotation["SignedRFC3161Timestamp"])
    index = registry.get_manifest(repository, digest.replace(":", "-"))
    assert index is not None
    for entry in json.loads(index.content)["manifests"]:
        manifest = registry.get_manifest(repository, entry["digest"])
        assert manifest is not None
        layer = json.loads(manifest.content)["layers"][0]
        content = registry.get_blob(repository, layer["digest"])
        assert content is not None
        if layer["mediaType"] in BY_MEDIA_TYPE:
            form = BY_MEDIA_TYPE[layer["mediaType"]]
            found[form.name] = form.parse(content).unverified_timestamp or b""
        else:
            data = json.loads(content)["verificationMaterial"]["timestampVerificationData"]
            found["bundle"] = base64.b64decode(data["rfc3161Timestamps"][0]["signedTimestamp"])
    return found


def test_what_is_signed_carries_its_stamp_in_every_format_that_has_a_place(
    product: Product, authority: Path
) -> None:
    digest = product.images.push_image("stamped/app", files={"x": uuid.uuid4().bytes})
    image = f"{product.registry}/stamped/app@{digest}"
    formats = ["cosign", "bundle", "notation", "notation-cose", "openpgp"]
    made = product.sign(image, formats=formats)
    assert made.status == 201, made.body
    signatures = {one["format"]: one for one in made.body["results"][0]["signatures"]}
    assert signatures.pop("openpgp")["timestamp"] is None
    found = stamps_at_the_registry(product, image)
    assert found.keys() == signatures.keys()
    for form, one in signatures.items():
        assert one["timestamp"]["authority"] == "own"
        reply = base64.b64decode(one["timestamp"]["reply"])
        signature = base64.b64decode(one["signature"])
        is_notation = form.startswith("notation")
        assert found[form] == (token_of(reply) if is_notation else reply)
        if is_notation:
            signature = to_raw(Scheme.ECDSA_P256_SHA256, signature)
        (authority / "signature").write_bytes(signature)
        (authority / "stamp").write_bytes(reply)
        words = ("-verify", "-data", "signature", "-in", "stamp", "-CAfile", "root.pem")
        assert openssl(authority, *words).returncode == 0
        record = product.call("GET", f"/v1/signatures/{one['id']}").body
        assert record["timestamp"] == one["timestamp"]
    # The same bytes again: what lies at the registry is found there, and stays alone.
    again = product.sign(image, formats=formats)
    assert [s["timestamp"] for s in again.body["results"][0]["signatures"]] == [
        s["timestamp"] for s in made.body["results"][0]["signatures"]
    ]
    assert stamps_at_the_registry(product, image) == found
