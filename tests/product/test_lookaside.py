"""OpenPGP signatures from the running product, and GnuPG's word on them."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
import uuid
from pathlib import Path

import pytest

from service.domain.digests import Digest
from service.formats.openpgp.form import parse_content
from service.formats.openpgp.message import parse_message
from tests.support.product import Product


def get(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def place(product: Product, repository: str, digest: Digest, number: int) -> str:
    return (
        f"{product.url}/lookaside/{product.registry}/{repository}"
        f"@sha256={digest.hex}/signature-{number}"
    )


@pytest.fixture
def keyring(product: Product, tmp_path: Path) -> Path:
    """A GnuPG home that knows the key `release`, as the service hands it out."""
    status, key = get(f"{product.url}/v1/keys/release/public-key", Accept="application/pgp-keys")
    assert status == 200, key
    home = tmp_path / "gpg"
    home.mkdir(mode=0o700)
    assert b"IMPORT_OK 1" in gpg(home, key, "--import")
    return home


def gpg(home: Path, stdin: bytes, *words: str) -> bytes:
    command = ("gpg", "--homedir", str(home), "--batch", "--no-autostart", "--status-fd", "1")
    return subprocess.run([*command, *words], input=stdin, capture_output=True, check=False).stdout


def test_gnupg_takes_what_the_lookaside_serves(product: Product, keyring: Path) -> None:
    repository = f"openpgp/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}:1.0@{digest}"
    assert get(place(product, repository, digest, 1))[0] == 404
    made = product.sign(image, formats=["openpgp"])
    assert made.status == 201, made.body
    signature = made.body["results"][0]["signatures"][0]
    assert signature["attachment"]["state"] == "attached"
    status, served = get(place(product, repository, digest, 1))
    assert status == 200
    claim = parse_content(parse_message(served).unverified_content)
    assert claim.unverified_digest == digest
    assert claim.unverified_identity == f"{product.registry}/{repository}:1.0"
    assert b"GOODSIG" in gpg(keyring, served, "--decrypt")
    assert b"GOODSIG" not in gpg(keyring, served.replace(b"atomic", b"Atomic"), "--decrypt")
    assert parse_message(served).payload == base64.b64decode(signature["payload"])


def test_files_are_numbered_without_gaps_and_the_extension_lists_them_all(
    product: Product,
) -> None:
    repository = f"openpgp/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}:1.0@{digest}"
    for build in ("1", "2"):
        assert product.sign(image, formats=["openpgp"], annotations={"b": build}).status == 201
    # The same again is the same signature, and no third file.
    assert product.sign(image, formats=["openpgp"], annotations={"b": "1"}).status == 201
    files = [get(place(product, repository, digest, number)) for number in (1, 2, 3)]
    assert [status for status, _ in files] == [200, 200, 404]
    url = f"{product.url}/extensions/v2/{repository}/signatures/{digest}"
    status, listed = get(url, Host=product.registry)
    assert status == 200
    found = json.loads(listed)["signatures"]
    assert [base64.b64decode(each["content"]) for each in found] == [f for _, f in files[:2]]
    assert all(each["name"].startswith(f"{digest}@") for each in found)
    # Another registry's image of the same name has none, and one that is not ours is not asked.
    status, listed = get(url, Host="registry.example.com")
    assert (status, json.loads(listed)["code"]) == (404, "not-found")


def test_what_the_caller_places_itself_is_not_served(product: Product, keyring: Path) -> None:
    repository = f"openpgp/{uuid.uuid4().hex[:12]}"
    digest = Digest.of(uuid.uuid4().bytes)
    image = f"{product.registry}/{repository}@{digest}"
    made = product.sign(image, formats=["openpgp"], attach=False)
    assert made.status == 201, made.body
    artifact = made.body["results"][0]["signatures"][0]["artifact"]
    assert artifact["manifest"] is None
    [blob] = artifact["blobs"]
    assert b"GOODSIG" in gpg(keyring, base64.b64decode(blob["content"]), "--decrypt")
    assert get(place(product, repository, digest, 1))[0] == 404


def test_a_key_certifies_itself_once(product: Product) -> None:
    url = f"{product.url}/v1/keys/release/public-key"
    first, second = (get(url, Accept="application/pgp-keys")[1] for _ in range(2))
    assert first == second
    status, problem = get(f"{product.url}/v1/keys/log/public-key", Accept="application/pgp-keys")
    assert (status, json.loads(problem)["code"]) == (409, "key-not-usable")


@pytest.mark.parametrize("name", ["creator", "timestamp"])
def test_an_annotation_that_would_be_taken_for_ours_is_refused(product: Product, name: str) -> None:
    image = f"{product.registry}/openpgp/none@{Digest.of(b'x')}"
    wanted = {"formats": ["openpgp"], "attach": False}
    refused = product.sign(image, annotations={name: "x"}, **wanted)
    assert (refused.status, refused.body["code"]) == (422, "invalid-request")
    assert product.sign(image, annotations={"other": "x"}, **wanted).status == 201
