"""Go's checksum-database libraries on our log: checkpoint, tiles, every proof."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from service.translog.checkpoints import Checkpoint
from service.translog.notes import Note
from tests.support.clients import client
from tests.support.product import Product


def judged(product: Product, name: str, key: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [client("log-judge"), f"{product.url}/v1/log", name, str(key)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def log_key(product: Product, tmp_path: Path) -> Path:
    file = tmp_path / "log.pem"
    file.write_text(product.public_key("log"))
    return file


def test_go_reads_the_log_and_proves_every_entry(
    product: Product, log_key: Path, tmp_path: Path
) -> None:
    # More than a tile, so that there are levels, full tiles and partial ones.
    references = [f"{product.registry}/go/reads@sha256:{n:064x}" for n in range(300)]
    answer = product.sign(*references, attach=False, formats=["cosign"])
    assert answer.status == 201, answer.body
    text = product.call("GET", "/v1/log/checkpoint", who=None).body
    head = Checkpoint.parse(Note.parse(text).unverified_text)
    done = judged(product, head.origin, log_key)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] >= head.size >= 300
    # The negatives, each beside the control above.
    assert judged(product, "another.example", log_key).returncode == 1
    other = tmp_path / "other.pem"
    other.write_text(product.public_key("release"))
    assert judged(product, head.origin, other).returncode == 1
