"""Faults of what the log rests on: whatever a client was given is logged, once, and signing resumes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.domain.errors import LogUnavailableError
from service.domain.keys import Purpose
from service.domain.log import LogName
from service.operations.log import RederiveLogs
from tests.support import services as served
from tests.support.fulldisk import FullDisk, build
from tests.support.logged import assert_all_logged, assert_included
from tests.support.product import Product, dev_environment, start_dev, stop_dev
from tests.support.registry import DockerRegistry
from tests.support.services import Services
from tests.support.softhsm import SoftHSM

CALLERS = 4
PATIENCE = 60.0
AWAY = {"store-unavailable", "log-unavailable"}


@dataclass
class Caller:
    """Signs one image after the other, each until it is signed, as a build system would."""

    product: Product
    stop: threading.Event
    made: list[dict[str, Any]] = field(default_factory=list)
    images: int = 0
    refused: set[str] = field(default_factory=set)

    def run(self) -> None:
        while not self.stop.is_set():
            image = f"{self.product.registry}/faults/app@sha256:{uuid.uuid4().hex * 2}"
            self.made += self.until_signed(image)
            self.images += 1

    def until_signed(self, image: str) -> list[dict[str, Any]]:
        key, deadline = uuid.uuid4().hex, time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            answer = self.product.sign(image, attach=False, idempotency_key=key)
            if answer.status == 201:
                return list(answer.body["results"][0]["signatures"])
            assert answer.status in (409, 503), answer.body
            self.refused.add(answer.body["code"])
            time.sleep(min(float(answer.headers["Retry-After"]), 0.2))
        raise AssertionError("the retries did not end well")


@pytest.fixture
def disk(tmp_path: Path) -> FullDisk:
    return build(tmp_path)


@pytest.fixture
def product(disk: FullDisk, tmp_path: Path, registry: DockerRegistry) -> Iterator[Product]:
    option = ("--registry", registry.host)
    process, started = start_dev(tmp_path / "state", *option, env=disk.environment)
    yield started
    assert stop_dev(process) == 0


def test_a_full_disk_lets_nothing_leave_and_signing_goes_on_when_there_is_space(
    product: Product, disk: FullDisk
) -> None:
    database, outside = product.state / "sealwright.db", product.state / "checkpoints"
    digest = product.images.push_image("faults/attached", "1.0", {"x": uuid.uuid4().bytes})
    image = f"{product.registry}/faults/attached@{digest}"
    with disk.full(database):
        refused = product.sign(image)
        assert (refused.status, refused.body["code"]) == (503, "store-unavailable")
        assert "Retry-After" in refused.headers
        assert "signatures" not in refused.body
        assert product.images.signature_layers("faults/attached", digest) == []
        assert product.images.referrer_entries("faults/attached", digest) == []
        assert product.verdict(image)["verdict"] == "unsigned"  # whoever only reads goes on
    with disk.full(outside):
        refused = product.sign(image)
        # It is on record, and leaves nowhere before its checkpoint is kept.
        assert (refused.status, refused.body["code"]) == (503, "log-unavailable")
        assert product.images.signature_layers("faults/attached", digest) == []
        assert product.images.referrer_entries("faults/attached", digest) == []
    stop = threading.Event()
    callers = [Caller(product, stop) for _ in range(CALLERS)]
    made = callers[0].until_signed(image)
    with ThreadPoolExecutor(CALLERS) as pool:
        running = [pool.submit(caller.run) for caller in callers]
        for place in (database, outside):
            wait_for_work(callers)
            with disk.full(place):
                wait_for(lambda: all(caller.refused & AWAY for caller in callers))
            for caller in callers:
                caller.refused.clear()
        wait_for_work(callers)
        stop.set()
        for each in running:
            each.result()
    made += [one for caller in callers for one in caller.made]
    images = 1 + sum(caller.images for caller in callers)
    assert len({one["id"] for one in made}) == len(made) == 2 * images
    assert_all_logged(product, made)
    recorded = product.call("GET", "/v1/log/checkpoint", who=None).body.split("\n")[1]
    assert int(recorded) == len(made)  # nothing is in the log twice
    done = subprocess.run(
        [str(Path(sys.executable).with_name("sealwright")), "log", "verify", "--store"],
        env={**os.environ, **dev_environment(product)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def wait_for_work(callers: list[Caller]) -> None:
    """Return when each caller has signed something more."""
    before = [caller.images for caller in callers]
    wait_for(lambda: all(c.images > n for c, n in zip(callers, before, strict=True)))


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_with_the_token_of_the_logs_key_away_signing_stops_and_resumes_with_what_was_recorded(
    services: Services, softhsm: SoftHSM
) -> None:
    images, logs = softhsm.token("faults images"), softhsm.token("faults log")
    whole = services(images, logs)
    served.make_key(whole, token="faults images")
    served.make_key(whole, "log", token="faults log", purpose=Purpose.LOG)
    first = served.sign(whole, "first")
    without = services(images)
    stopped = served.sign(without, "second")
    assert isinstance(stopped.error, LogUnavailableError)
    assert not stopped.signatures
    # Now that it is known, nothing more is signed.
    with pytest.raises(LogUnavailableError):
        served.sign(without, "third")
    items = [first, *(served.sign(whole, what) for what in ("second", "third", "first"))]
    made = {one.id: one for item in items for one in item.signatures}
    assert len(made) == 3
    positions = set()
    for one in made.values():
        assert one.log is not None
        assert_included(one.log)
        positions.add(one.log.index)
    assert positions == {0, 1, 2}
    tree = whole.store.log_writer.tree(LogName.SIGNATURES)
    assert tree is not None
    assert (tree.size, tree.signed_size) == (3, 3)
    assert list(RederiveLogs(whole.store.log_reader, whole.store.log_reader)()) == []
