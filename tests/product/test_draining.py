"""SIGTERM: what has begun is finished, and what waits is left to others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import urllib3

from service.domain.digests import Digest
from tests.support.ports import free_port
from tests.support.product import Product, dev_environment

IMAGES = 500


@pytest.fixture
def beside(product: Product, tmp_path: Path) -> Iterator[tuple[Product, subprocess.Popen[bytes]]]:
    """A second service on the product's database and token, without its loops."""
    port = free_port()
    env = {
        **os.environ,
        **dev_environment(product),
        "SEALWRIGHT_BIND": f"127.0.0.1:{port}",
        "SEALWRIGHT_WORKERS": "1",
        "SEALWRIGHT_EMBEDDED_WORKER": "1",
        "SEALWRIGHT_METRICS_DIR": str(tmp_path / "metrics"),
    }
    program = str(Path(sys.executable).with_name("sealwright"))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve"], env=env, stdout=log, stderr=log)
    started = replace(product, url=f"http://127.0.0.1:{port}")
    deadline = time.monotonic() + 60
    while True:
        try:
            if started.call("GET", "/readyz?for=sign", who=None).status == 200:
                break
        except urllib3.exceptions.HTTPError:
            pass
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)
    yield started, process
    if process.poll() is None:
        process.kill()
        process.wait()


def intents(service: Product) -> int:
    engine = sqlalchemy.create_engine(dev_environment(service)["SEALWRIGHT_DATABASE_URL"])
    try:
        with engine.connect() as connection:
            return int(
                connection.execute(
                    sqlalchemy.text("SELECT count(*) FROM intents WHERE repository LIKE :where"),
                    {"where": "%/demo/draining"},
                ).scalar_one()
            )
    finally:
        engine.dispose()


def test_a_batch_in_flight_is_answered_after_sigterm(
    beside: tuple[Product, subprocess.Popen[bytes]],
) -> None:
    service, process = beside
    answers: list[Any] = []

    def sign(*images: str) -> None:
        answers.append(service.sign(*images, attach=False, force=True))

    # Told to end while a batch is on its way: its intents are committed, its outcomes are not.
    # Where this process stalls meanwhile, a batch may be over before: then another one.
    for attempt in range(10):
        images = [
            f"{service.registry}/demo/draining@{Digest.of(f'{os.getpid()} {attempt} {n}'.encode())}"
            for n in range(IMAGES)
        ]
        before, deadline = intents(service), time.monotonic() + 60
        answers.clear()
        caller = threading.Thread(target=sign, args=images)
        caller.start()
        while intents(service) == before:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        if caller.is_alive():
            break
    else:
        pytest.fail("no batch was on its way when it was looked at")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    caller.join(60)
    [answer] = answers
    assert answer.status == 201, answer.body
    assert answer.body["succeeded"] == IMAGES
    with pytest.raises(urllib3.exceptions.HTTPError):
        service.call("GET", "/healthz", who=None)
