"""cosign 3 and 2.6 on our log: with the trusted root that we hand out, and no flag to ignore it."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.domain.digests import Digest
from service.translog.logged import log_id
from tests.support.cosign import Cosign
from tests.support.product import Product

ALGORITHMS = ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"]
FORMATS = {"sig": ["cosign"], "bundle": ["bundle"], "both": ["cosign", "bundle"]}
Sign = Callable[..., list[dict[str, Any]]]


def verify(judge: Cosign, key: Path, image: str, root: Any) -> subprocess.CompletedProcess[str]:
    file = judge.home / f"{uuid.uuid4().hex}.json"
    file.write_text(json.dumps(root))
    return judge.run(
        *("verify", "--key", str(key), "--trusted-root", str(file)),
        *("--allow-http-registry", image),
    )


def push(product: Product) -> tuple[str, str, Digest]:
    repository = f"logs/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, files={"app/name": uuid.uuid4().bytes})
    return f"{product.registry}/{repository}@{digest}", repository, digest


@dataclass(frozen=True)
class Bench:
    """A running product, who signs with it, and who judges."""

    product: Product
    sign: Sign
    judges: list[Cosign]

    @property
    def root(self) -> Any:
        answer = self.product.call("GET", "/v1/trust/trusted-root", who=None)
        assert answer.status == 200
        assert answer.body["tlogs"]
        return answer.body


@pytest.fixture
def bench(product: Product, sign: Sign, both_cosigns: list[Cosign]) -> Bench:
    return Bench(product, sign, both_cosigns)


@pytest.fixture(scope="module")
def keys(product: Product, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the public key of a signing key of each algorithm."""
    files = {}
    for algorithm in ALGORITHMS:
        wanted = {"name": f"l-{algorithm}", "purpose": "image", "algorithm": algorithm}
        assert product.call("POST", "/v1/keys", wanted, who="custodian").status == 201
        files[algorithm] = tmp_path_factory.mktemp("keys") / "key.pem"
        files[algorithm].write_text(product.public_key(f"l-{algorithm}"))
    return files


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cosign_finds_every_signature_in_the_log(
    bench: Bench, keys: dict[str, Path], algorithm: str, form: str
) -> None:
    image, _, _ = push(bench.product)
    root = bench.root
    for judge in bench.judges:
        assert verify(judge, keys[algorithm], image, root).returncode != 0  # unsigned
    bench.sign(image, f"l-{algorithm}", formats=FORMATS[form])
    for judge in bench.judges:
        done = verify(judge, keys[algorithm], image, root)
        assert done.returncode == 0, (judge.program, done.stderr)


def another_log(root: Any) -> Any:
    """Return the root of a log that has our NAME and another key."""
    spki = (
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    changed = copy.deepcopy(root)
    for log in changed["tlogs"]:
        log["publicKey"]["rawBytes"] = base64.b64encode(spki).decode()
        log["logId"]["keyId"] = base64.b64encode(log_id(spki)).decode()
    return changed


def without_logs(root: Any) -> Any:
    return {**root, "tlogs": []}


def expired(root: Any) -> Any:
    changed = copy.deepcopy(root)
    for log in changed["tlogs"]:
        log["publicKey"]["validFor"] = {
            "start": "2001-01-01T00:00:00Z",
            "end": "2001-01-02T00:00:00Z",
        }
    return changed


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("change", [another_log, without_logs])
def test_cosign_refuses_what_another_log_would_have_to_hold(
    bench: Bench, release: Path, change: Callable[[Any], Any], form: str
) -> None:
    image, _, _ = push(bench.product)
    bench.sign(image, formats=FORMATS[form])
    root = bench.root
    for judge in bench.judges:
        assert verify(judge, release, image, root).returncode == 0
        assert verify(judge, release, image, change(root)).returncode != 0


def test_cosign_refuses_a_promise_from_outside_the_log_keys_time(
    bench: Bench, release: Path
) -> None:
    image, _, _ = push(bench.product)
    bench.sign(image, formats=["cosign"])
    root = bench.root
    for judge in bench.judges:
        assert verify(judge, release, image, expired(root)).returncode != 0
        assert verify(judge, release, image, root).returncode == 0


@pytest.mark.parametrize("part", ["SignedEntryTimestamp", "integratedTime", "logIndex", "body"])
def test_cosign_refuses_a_sig_whose_log_annotation_was_changed(
    bench: Bench, release: Path, part: str
) -> None:
    product, root = bench.product, bench.root
    image, repository, digest = push(product)
    bench.sign(image, formats=["cosign"])
    tag = f"sha256-{digest.hex}.sig"
    stored = product.images.get_manifest(repository, tag)
    assert stored is not None
    manifest = json.loads(stored.content)
    annotations = manifest["layers"][0]["annotations"]
    logged = json.loads(annotations["dev.sigstore.cosign/bundle"])
    holder = logged if part == "SignedEntryTimestamp" else logged["Payload"]
    value = holder[part]
    holder[part] = value + 1 if isinstance(value, int) else value[:-8] + "AAAA" + value[-4:]
    annotations["dev.sigstore.cosign/bundle"] = json.dumps(logged)
    for judge in bench.judges:
        assert verify(judge, release, image, root).returncode == 0
    product.images.push_manifest(repository, tag, json.dumps(manifest).encode())
    for judge in bench.judges:
        assert verify(judge, release, image, root).returncode != 0


def test_cosign_still_finds_what_was_signed_before_the_log_key_was_rotated(
    bench: Bench, release: Path
) -> None:
    product = bench.product
    before, _, _ = push(product)
    bench.sign(before)
    rotated = product.call("POST", "/v1/keys/log/versions", {}, who="custodian")
    assert rotated.status == 201, rotated.body
    after, _, _ = push(product)
    made = bench.sign(after)
    assert made[0]["log"]["tree_size"] > 1
    root = bench.root
    assert len(root["tlogs"]) >= 2
    for judge in bench.judges:
        for image in (before, after):
            done = verify(judge, release, image, root)
            assert done.returncode == 0, done.stderr
