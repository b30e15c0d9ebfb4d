"""@sigstore/verify, the Node library under npm's own checks, on our bundles."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients import clients
from tests.support.product import Product

Sign = Callable[..., list[dict[str, object]]]
JUDGE = Path(__file__).parent / "clients" / "bundle-judge.cjs"
ALGORITHMS = ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"]


@pytest.fixture
def root(product: Product, release: Path) -> Path:
    """Our log as the service hands it out: the library checks every proof that a bundle holds."""
    answer = product.call("GET", "/v1/trust/trusted-root", who=None)
    assert answer.status == 200, answer.body
    file = release.with_name("trusted_root.json")
    file.write_text(json.dumps(answer.body))
    return file


def judge(bundle: object, key: Path, root: Path) -> subprocess.CompletedProcess[str]:
    file = root.with_name("bundle.json")
    file.write_text(json.dumps(bundle))
    return subprocess.run(
        ["node", str(JUDGE), str(file), str(key), str(root)],
        cwd=clients() / "node",
        capture_output=True,
        text=True,
        check=False,
    )


def signed(product: Product, sign: Sign, key: str) -> tuple[str, Any]:
    """Return the digest of a new image, and the bundle that refers to it."""
    repository = f"js/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, files={"x": uuid.uuid4().bytes})
    sign(f"{product.registry}/{repository}@{digest}", key, formats=["bundle"])
    (entry,) = product.images.referrer_entries(repository, digest)
    stored = product.images.get_manifest(repository, str(entry["digest"]))
    assert stored is not None
    content = product.images.get_blob(repository, json.loads(stored.content)["layers"][0]["digest"])
    assert content is not None
    return digest.hex, json.loads(content)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_bundles_by_a_key_of_each_algorithm_are_accepted(
    product: Product, sign: Sign, root: Path, algorithm: str
) -> None:
    name = f"j-{algorithm}"
    wanted = {"name": name, "purpose": "image", "algorithm": algorithm}
    made = product.call("POST", "/v1/keys", wanted, who="custodian")
    assert made.status == 201, made.body
    key = root.with_name("key.pem")
    key.write_text(product.public_key(name))
    digest, bundle = signed(product, sign, name)
    done = judge(bundle, key, root)
    assert done.returncode == 0, done.stderr
    statement = json.loads(done.stdout)
    assert statement["subject"][0]["digest"] == {"sha256": digest}
    assert judge(bundle, root.with_name("release.pem"), root).returncode != 0


def test_what_was_changed_is_refused(
    product: Product, sign: Sign, release: Path, root: Path
) -> None:
    _, bundle = signed(product, sign, "release")
    assert judge(bundle, release, root).returncode == 0
    envelope = bundle["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    body = base64.b64decode(entry["canonicalizedBody"])
    envelopes = [
        {**envelope, "payload": base64.b64encode(payload + b" ").decode()},
        {**envelope, "signatures": envelope["signatures"] * 2},
        {**envelope, "signatures": []},
    ]
    entries = [
        [{**entry, "canonicalizedBody": base64.b64encode(body + b" ").decode()}],
        [],  # without the proof of a log
    ]
    for damaged in envelopes:
        assert judge({**bundle, "dsseEnvelope": damaged}, release, root).returncode != 0
    for listed in entries:
        material = {**bundle["verificationMaterial"], "tlogEntries": listed}
        changed = {**bundle, "verificationMaterial": material}
        assert judge(changed, release, root).returncode != 0
