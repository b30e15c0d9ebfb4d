"""SIGTERM: what has begun is finished, and what waits is left to others."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import urllib3

from service.domain.digests import Digest
from tests.support.product import Product, dev_environment
from tests.support.serving import serving

IMAGES = 500


@pytest.fixture
def beside(product: Product, tmp_path: Path) -> Iterator[tuple[Product, subprocess.Popen[bytes]]]:
    """A second service on the product's database and token, with loops of its own."""
    env = {**dev_environment(product), "SEALWRIGHT_ROLES": "sign,verify,manage,worker"}
    with serving(product, tmp_path, env) as started:
        yield started


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
