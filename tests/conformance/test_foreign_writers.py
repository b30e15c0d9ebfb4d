"""Stock cosign writes into our log over Rekor's own API, and its signatures verify from there."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.cosign import Cosign
from tests.support.past_the_service import sign_past
from tests.support.product import Answer, Product
from tests.support.rekor import Client, new_client

ANNOTATION = "dev.sigstore.cosign/bundle"


@dataclass(frozen=True)
class Site:
    """A product whose policy names a key of cosign's, and files for cosign to trust it by."""

    product: Product
    private: Path
    public: Path
    root: Path
    log_key: Path

    def push(self) -> tuple[str, str, Any]:
        repository = f"foreign/{uuid.uuid4().hex[:12]}"
        digest = self.product.images.push_image(repository, files={"a": uuid.uuid4().bytes})
        return f"{self.product.registry}/{repository}@{digest}", repository, digest

    def write(self, body: Any, version: int = 1) -> Answer:
        return self.product.call("POST", f"/api/v{version}/log/entries", body, who=None)

    @property
    def size(self) -> int:
        note = self.product.call("GET", "/v1/log/checkpoint", who=None).body
        return int(note.split("\n")[1])


@pytest.fixture(scope="module")
def site(product: Product, cosign: Cosign, tmp_path_factory: pytest.TempPathFactory) -> Site:
    directory = tmp_path_factory.mktemp("foreign")
    private, public = cosign.new_key("foreign")
    # A log has a first entry before it has a key for strangers to trust.
    made = product.sign(f"{product.registry}/foreign/x@sha256:{uuid.uuid4().hex * 2}", attach=False)
    assert made.status == 201
    (directory / "root.json").write_text(
        json.dumps(product.call("GET", "/v1/trust/trusted-root", who=None).body)
    )
    (directory / "log.pem").write_text(product.public_key("log"))
    return Site(product, private, public, directory / "root.json", directory / "log.pem")


def name_in_policy(site: Site, key: Path) -> None:
    policy = site.product.state / "policy.yaml"
    kept = json.loads(policy.read_text())
    keys = kept.setdefault("trust", {}).setdefault("keys", [])
    keys.append({"name": uuid.uuid4().hex, "public_key": key.read_text()})
    new = policy.with_name("policy.new")
    new.write_text(json.dumps(kept))
    new.replace(policy)


@pytest.fixture(scope="module")
def named(site: Site) -> Site:
    """Return the site once its policy names the key, in each of its processes."""
    probe = new_client()
    file = site.root.with_name("probe.pem")
    file.write_text(probe.pem)
    name_in_policy(site, site.public)
    name_in_policy(site, file)
    body, told = probe.hashedrekord(b"ready"), 0
    while told < 12:  # as many answers in a row, so that every process has read the file
        answer = site.write(body)
        told = told + 1 if answer.status == 201 else 0
        time.sleep(0 if told else float(answer.headers.get("Retry-After", 0.2)))
    return site


def signing_config(site: Site, version: int) -> dict[str, Any]:
    return {
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "rekorTlogUrls": [
            {
                "url": site.product.url,
                "majorApiVersion": version,
                "validFor": {"start": "2026-01-01T00:00:00Z"},
                "operator": "sealwright.test",
            }
        ],
        "rekorTlogConfig": {"selector": "ANY"},
    }


def way(site: Site, judge: Cosign, name: str) -> tuple[Cosign, Sequence[str]]:
    """Return the words by which a cosign writes into the log, and the cosign with its settings."""
    url = ("--rekor-url", site.product.url)
    if name.startswith("bundle"):
        config = judge.home / f"{name}.json"
        config.write_text(json.dumps(signing_config(site, int(name[-1]))))
        return judge, ("--signing-config", str(config), "--trusted-root", str(site.root))
    judge = replace(judge, more_env={"SIGSTORE_REKOR_PUBLIC_KEY": str(site.log_key)})
    if name == "legacy-3":
        return judge, ("--use-signing-config=false", "--new-bundle-format=false", *url)
    return judge, url


WAYS = ["bundle-1", "bundle-2", "legacy-3", "legacy-2.6"]


@pytest.fixture(params=WAYS)
def writer(
    request: pytest.FixtureRequest, site: Site, cosign: Cosign, older_cosign: Cosign
) -> tuple[Cosign, Sequence[str]]:
    name = str(request.param)
    return way(site, older_cosign if name == "legacy-2.6" else cosign, name)


def sign(judge: Cosign, words: Sequence[str], private: Path, image: str) -> str:
    done = judge.run(
        *("sign", "--key", str(private), "--yes", "--allow-http-registry", *words, image)
    )
    return "" if done.returncode == 0 else done.stderr


def test_cosign_writes_into_the_log_and_both_cosigns_find_it_there(
    named: Site, writer: tuple[Cosign, Sequence[str]], both_cosigns: list[Cosign]
) -> None:
    image, _, _ = named.push()
    before = named.size
    assert sign(*writer, named.private, image) == ""
    assert named.size == before + 1
    for judge in both_cosigns:
        done = judge.run(
            *("verify", "--key", str(named.public), "--trusted-root", str(named.root)),
            *("--allow-http-registry", image),
        )
        assert done.returncode == 0, done.stderr


def test_a_key_that_policy_does_not_name_cannot_write(
    named: Site, writer: tuple[Cosign, Sequence[str]]
) -> None:
    image, repository, digest = named.push()
    stranger, _ = writer[0].new_key(f"stranger-{uuid.uuid4().hex[:8]}")
    before = named.size
    assert "the trust policy names no such key" in sign(*writer, stranger, image)
    assert named.size == before
    assert not named.product.images.signature_layers(repository, digest)
    assert sign(*writer, named.private, image) == ""
    assert named.size == before + 1


def test_what_cosign_wrote_and_asks_for_again_is_the_standing_entry(
    named: Site, cosign: Cosign
) -> None:
    image, repository, digest = named.push()
    assert sign(*way(named, cosign, "legacy-3"), named.private, image) == ""
    (layer,) = named.product.images.signature_layers(repository, digest)
    payload = json.loads(layer["annotations"][ANNOTATION])["Payload"]
    before = named.size
    again = named.write(json.loads(base64.b64decode(payload["body"])))
    assert again.status == 201
    ((uuid_of_entry, entry),) = again.body.items()
    assert again.headers["ETag"] == uuid_of_entry
    assert (entry["logIndex"], entry["body"]) == (payload["logIndex"], payload["body"])
    assert named.size == before


def test_a_signature_made_past_the_service_is_refused_and_a_critical_finding(named: Site) -> None:
    product, message = named.product, uuid.uuid4().bytes
    ours = Client(new_client().key, public_pem=product.public_key())
    body = ours.hashedrekord(message, sign_past(product, message))
    before, seen = named.size, len(findings(product))
    refused = named.write(body)
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert named.size == before
    assert len(findings(product)) == seen + 1
    # What the service did sign with that key may be asked for.
    made = product.sign(f"{product.registry}/foreign/x@sha256:{uuid.uuid4().hex * 2}", attach=False)
    layer = next(one for one in made.body["results"][0]["signatures"] if one["format"] == "cosign")
    taken = named.write(json.loads(base64.b64decode(layer["log"]["entry"])))
    assert taken.status == 201


def findings(product: Product) -> list[dict[str, Any]]:
    query = "/v1/findings?code=signature-not-on-record&state=open"
    found = product.call("GET", query, who="auditor").body["items"]
    assert all(one["severity"] == "critical" for one in found)
    return list(found)
