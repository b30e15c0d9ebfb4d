"""A worker killed with SIGKILL after each numbered step: nothing lost, unrecorded or duplicated.

The service is the production application under gunicorn, on the database, token and registry
of a running `sealwright dev`; only the StepObserver is the test's own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy
import urllib3

from service.domain.digests import Digest
from tests.support.logged import assert_all_logged
from tests.support.ports import free_port
from tests.support.product import START_SECONDS, Product, dev_environment

STEPS = (5, 6, 7, 8, 9, 10, 11, 12)
SETTLE_SECONDS = 60


@dataclass(frozen=True)
class Faulty:
    """A second service beside the product's own, whose worker dies when told to."""

    product: Product
    fault: Path
    database: str

    def kill_after(self, step: int) -> None:
        self.fault.write_text(str(step))

    def query(self, text: str, **values: object) -> list[tuple[object, ...]]:
        engine = sqlalchemy.create_engine(self.database)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(sqlalchemy.text(text), values)]
        finally:
            engine.dispose()


@pytest.fixture(scope="module")
def faulty(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    directory = tmp_path_factory.mktemp("faulty")
    port = free_port()
    env = {
        **os.environ,
        **dev_environment(product),
        "SEALWRIGHT_BIND": f"127.0.0.1:{port}",
        "SEALWRIGHT_WORKERS": "1",
        "SEALWRIGHT_ROLES": "sign,verify,manage",
        "FAULT_FILE": str(directory / "fault"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                "--config",
                "python:service.bootstrap.gunicorn_config",
                "tests.support.faulty:application()",
            ],
            env=env,
            stdout=log,
            stderr=log,
        )
    beside = replace(product, url=f"http://127.0.0.1:{port}")
    wait_until_ready(beside, directory / "log")
    yield Faulty(beside, directory / "fault", env["SEALWRIGHT_DATABASE_URL"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0


def wait_until_ready(product: Product, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if product.call("GET", "/readyz?for=sign", who=None).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the service did not get ready:\n{log.read_text()}")


def sign_until_done(
    product: Product, image: str, key: str, *, force: bool
) -> list[dict[str, object]]:
    """Retry as a build system would, with the same Idempotency-Key, honouring Retry-After."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = product.sign(image, force=force, idempotency_key=key)
        except urllib3.exceptions.HTTPError:
            time.sleep(0.2)
            continue
        if answer.status == 201:
            return list(answer.body["results"][0]["signatures"])
        assert answer.status in (409, 503), answer.body
        assert "Retry-After" in answer.headers
        time.sleep(min(float(answer.headers["Retry-After"]), 1.0))
    raise AssertionError("the retries did not end well")


def unknown_outcomes(product: Product) -> set[str]:
    path = "/v1/signatures?state=outcome-unknown&limit=500"
    return {item["digest"] for item in product.call("GET", path, who="auditor").body["items"]}


@dataclass(frozen=True)
class Attempt:
    """A signing request whose worker was killed on the way."""

    step: int
    force: bool
    repository: str
    digest: Digest
    image: str
    key: str


def killed(faulty: Faulty, step: int, *, force: bool) -> Attempt:
    product = faulty.product
    repository = f"drill/{uuid.uuid4().hex[:12]}"
    digest = product.images.push_image(repository, "1.0", {"step": uuid.uuid4().bytes})
    image = f"{product.registry}/{repository}@{digest}"
    key = uuid.uuid4().hex
    faulty.kill_after(step)
    with pytest.raises(urllib3.exceptions.HTTPError):
        product.sign(image, force=force, idempotency_key=key)
    assert not faulty.fault.exists(), f"step {step} was never reached"
    return Attempt(step, force, repository, digest, image, key)


def assert_recorded_once(faulty: Faulty, attempt: Attempt, made: list[dict[str, object]]) -> None:
    """One signature of each format for the image, one log entry for each, and one audit event."""
    entries = faulty.query(
        "SELECT s.id, count(l.seq) FROM signatures s "
        "LEFT JOIN log_entries l ON l.signature_id = s.id "
        "WHERE s.digest LIKE :digest GROUP BY s.id",
        digest=f"%{attempt.digest.hex}",
    )
    assert sorted(entries) == sorted((one["id"], 1) for one in made), attempt
    assert [one["format"] for one in made] == ["cosign", "bundle"]
    for one in made:
        events = faulty.query(
            "SELECT count(*) FROM audit_events "
            "WHERE CAST(body AS TEXT) LIKE :id AND CAST(body AS TEXT) LIKE :action",
            id=f"%{one['id']}%",
            action="%signature.made%",
        )
        assert events == [(1,)], attempt


def verified_formats(product: Product, image: str) -> list[str]:
    found = product.verdict(image)["signatures"]
    return sorted(one["format"] for one in found if one["outcome"] == "verified")


def test_a_worker_killed_after_any_step_loses_and_duplicates_nothing(faulty: Faulty) -> None:
    product = faulty.product
    attempts = [killed(faulty, step, force=force) for step in STEPS for force in (False, True)]
    # What died between the intent and its outcome is a fact that the record shows.
    died = {str(attempt.digest) for attempt in attempts if attempt.step in (6, 7, 8)}
    deadline = time.monotonic() + SETTLE_SECONDS
    while not died <= unknown_outcomes(product):
        assert time.monotonic() < deadline, "an intent without an outcome is not shown"
        time.sleep(0.5)
    seen = []
    for attempt in attempts:
        made = sign_until_done(product, attempt.image, attempt.key, force=attempt.force)
        seen += made
        assert_recorded_once(faulty, attempt, made)
        # The order of a dead request is delivered by the worker once its lease has run out.
        deadline = time.monotonic() + SETTLE_SECONDS
        while verified_formats(product, attempt.image) != ["bundle", "cosign"]:
            assert time.monotonic() < deadline, attempt
            time.sleep(0.5)
        assert len(product.images.signature_layers(attempt.repository, attempt.digest)) == 1
        assert len(product.images.referrer_entries(attempt.repository, attempt.digest)) == 1
    assert_all_logged(product, seen)
