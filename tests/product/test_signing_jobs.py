"""Signing later: the same results as at once, whoever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from service.domain.callers import Credential
from service.domain.clock import SystemClock
from service.domain.digests import Digest
from service.domain.errors import LeaseLostError
from service.domain.jobs import JobState, Progress
from service.domain.keys import Purpose
from service.domain.signing import ImageToSign, SigningRequest
from service.operations.sign import Sign, SignImages
from service.operations.signing_jobs import PART, AskedForSigning, RunSigningJob
from tests.support.leases import expire_leases
from tests.support.product import Product
from tests.support.registry import DockerRegistry
from tests.support.services import BUILDER, REGISTRY, Services, make_key
from tests.support.softhsm import SoftHSM

SETTLE_SECONDS = 60
ASYNC = {"Prefer": "respond-async"}
FAULTS = ("6", "7:150", "9", "10:2", "12")
"""Where each run of one job of three parts is killed: in the first part, in the second twice, in the
last twice."""


def ended(product: Product, where: str) -> dict[str, Any]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        shown = product.call("GET", where)
        assert shown.status == 200
        if shown.body["state"] in {"done", "failed"}:
            return dict(shown.body)
        assert time.monotonic() < deadline, shown.body
        time.sleep(0.2)


def test_a_job_ends_with_the_answer_that_the_request_would_have_had(product: Product) -> None:
    repository = f"later/{uuid.uuid4().hex[:12]}"
    images = []
    for number in range(2):
        digest = product.images.push_image(repository, str(number), {"n": uuid.uuid4().bytes})
        images.append({"reference": f"{product.registry}/{repository}@{digest}"})
    body = {"images": [*images, {"reference": "not an image", "id": "bad"}]}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    submitted = product.call("POST", "/v1/signatures", body, headers={**ASYNC, **key})
    assert submitted.status == 202, submitted.body
    job = ended(product, submitted.headers["Location"])
    assert (job["state"], job["status"]) == ("done", 207)
    assert job["progress"] == {"total": 3, "done": 3, "failed": 1}
    for item in job["results"][:2]:
        assert [one["format"] for one in item["signatures"]] == ["cosign", "bundle"]
        assert {one["attachment"]["state"] for one in item["signatures"]} == {"attached"}
        assert product.verdict(item["reference"])["verdict"] == "verified"
    # The same request, sent without `Prefer`, gets what the job has made, with its proofs.
    waited = product.call("POST", "/v1/signatures", body, headers=key)
    assert waited.status == 207
    assert waited.body == {name: job[name] for name in ("results", "succeeded", "failed")}
    again = product.call("POST", "/v1/signatures", body, headers={**ASYNC, **key})
    assert again.headers["Location"] == submitted.headers["Location"]
    hidden = product.call("GET", submitted.headers["Location"], who="custodian")
    assert hidden.status == 404
    assert product.call("GET", submitted.headers["Location"], who="auditor").status == 200


def test_a_job_whose_workers_are_killed_makes_everything_once(
    services: Services, softhsm: SoftHSM, registry: DockerRegistry
) -> None:
    services.registries = (registry.host,)
    token = softhsm.token("jobs")
    service = services(token)
    make_key(service, token=token.label)
    make_key(service, "log", token=token.label, purpose=Purpose.LOG)
    service.store.credentials.create(
        Credential(BUILDER, "hash", SystemClock().now()), actor="test", only_if_no_admin=False
    )
    many = 2 * PART + 10
    repository = f"{registry.host}/killed/{uuid.uuid4().hex[:12]}"
    request = SigningRequest(
        tuple(ImageToSign(f"{repository}@{Digest.of(str(n).encode())}") for n in range(many)),
        key="release",
        formats=("cosign",),
        attach=False,
        force=True,
    )
    asked = AskedForSigning(request, any_failure_fails=False)
    jobs = service.operations.signing_jobs
    job = jobs.submit(BUILDER, asked, idempotency_key=None, body_hash="hash")
    environment = {
        **softhsm.environment,
        "SEALWRIGHT_STATE_DIR": str(services.directory),
        "SEALWRIGHT_DATABASE_URL": services.database_url,
        "SEALWRIGHT_REGISTRIES_FILE": str(services.directory / "registries.yaml"),
        "SEALWRIGHT_PKCS11_MODULE": str(token.module),
        "SEALWRIGHT_TOKEN_LABEL": token.label,
        "SEALWRIGHT_PIN_FILE": str(token.pin_file),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = []
    for fault in FAULTS:
        assert run_worker({**environment, "FAULT": fault}) == -signal.SIGKILL, fault
        found = jobs.show(BUILDER, job.id).job
        assert found.state is JobState.RUNNING
        done.append(found.progress.done)
        expire_leases(services.database_url)
    # Nothing is done twice: each run goes on where the one before was stopped.
    assert done == sorted(done)
    assert done[-1] == 2 * PART
    assert run_worker(environment) == 0
    shown = jobs.show(BUILDER, job.id)
    assert shown.job.state is JobState.DONE
    assert shown.items is not None
    made = [one for item in shown.items for one in item.signatures]
    assert len({one.id for one in made}) == len(made) == many
    assert all(one.log is not None for one in made)
    # Despite `force` each image has one signature, one entry of the log and one audit event.
    counts = query(
        services.database_url,
        "SELECT (SELECT count(*) FROM signatures), (SELECT count(*) FROM log_entries), "
        "(SELECT count(*) FROM audit_events "
        " WHERE CAST(body AS TEXT) LIKE '%\"signature.made\"%')",
    )
    assert counts == [(many, many, many)]


@dataclass
class CutOff:
    """A run whose last word is lost: what it has signed is on record, and nobody was told."""

    owner: str = "own_cut"

    def advance(self, progress: Progress, notes: bytes) -> None:
        raise LeaseLostError

    def must_stop(self) -> bool:
        return False

    def is_out_of_patience(self) -> bool:
        return False


def sign_and_be_cut_off(sign: SignImages, request: SigningRequest) -> None:
    owner = CutOff().owner
    with sign.replays.holding(BUILDER, "key", body_hash="hash", owner=owner) as replay:
        sign.run(BUILDER, request, owner=owner, held=replay.request)
        raise LeaseLostError


@pytest.mark.parametrize("first", ["job", "request"])
def test_whoever_has_the_key_next_finds_what_was_signed_under_it(
    services: Services, softhsm: SoftHSM, first: str
) -> None:
    token = softhsm.token(f"keys-{first}")
    service = services(token)
    make_key(service, token=token.label)
    service.store.credentials.create(
        Credential(BUILDER, "hash", SystemClock().now()), actor="test", only_if_no_admin=False
    )
    images = tuple(
        ImageToSign(f"{REGISTRY}/cut@{Digest.of(str(n).encode())}") for n in range(PART + 5)
    )
    request = SigningRequest(images, key="release", formats=("cosign",), attach=False, force=True)
    asked = AskedForSigning(request, any_failure_fails=False)
    sign = service.operations.sign
    assert isinstance(sign, Sign)
    if first == "job":
        jobs = service.operations.signing_jobs
        job = jobs.submit(BUILDER, asked, idempotency_key="key", body_hash="hash")
        run_job = RunSigningJob(sign, sign.replays, service.store.outbox)
        with pytest.raises(LeaseLostError):
            run_job(job, BUILDER, CutOff())
        made = PART
    else:
        with pytest.raises(LeaseLostError):
            sign_and_be_cut_off(sign, request)
        made = len(images)
    counted = "SELECT count(*) FROM signatures"
    assert query(services.database_url, counted) == [(made,)]
    if first == "job":
        items = sign(BUILDER, request, idempotency_key="key", body_hash="hash")
    else:
        jobs = service.operations.signing_jobs
        job = jobs.submit(BUILDER, asked, idempotency_key="key", body_hash="hash")
        assert service.jobs.run_once(owner="own_next", stopping=lambda: False)
        items = jobs.show(BUILDER, job.id).items or ()
    assert len({one.id for item in items for one in item.signatures}) == len(images)
    assert query(services.database_url, counted) == [(len(images),)]


def run_worker(environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "tests.support.job_process"]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def query(url: str, text: str) -> list[tuple[object, ...]]:
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text(text))]
    finally:
        engine.dispose()
