"""A rotation, or a compromise, followed by a reissue: nobody's verification breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.callers import SIGN_PAYLOAD, Caller, Role
from service.domain.digests import Digest
from service.domain.errors import (
    ForbiddenError,
    KeyNotFoundError,
    KeyNotUsableError,
    NotFoundError,
)
from service.domain.findings import SIGNATURE_FORGED, Severity
from service.domain.jobs import JobState
from service.domain.keys import KeyState, Purpose
from service.domain.pages import PageRequest
from service.domain.payloads import Encoding, PayloadRequest
from service.domain.references import Repository
from service.domain.reissues import Reissue, ReissueReport
from service.domain.verdicts import Verdict
from service.ports.store import FindingFilter, SignatureFilter
from tests.support.leases import expire_leases
from tests.support.payloads import a_statement, pae, simple
from tests.support.registry import DockerRegistry
from tests.support.reissuing import (
    ANNOTATIONS,
    accepted_by_openssl,
    deliver_everything,
    employ_custodian,
    push_and_sign,
    reissued,
    submit,
)
from tests.support.services import BUILDER, CUSTODIAN, Services, make_key, move, rotate
from tests.support.sites import Site
from tests.support.softhsm import TokenFixture

MANY = 30  # more than a part of a job


@pytest.fixture
def site(services: Services, registry: DockerRegistry, first: TokenFixture) -> Site:
    services.registries = (registry.host,)
    service = services(first)
    make_key(service, token=first.label)
    make_key(service, "log", token=first.label, purpose=Purpose.LOG)
    employ_custodian(service)
    return Site(service, registry, f"reissue/{uuid.uuid4().hex[:12]}")


def counts(report: ReissueReport) -> dict[str, int]:
    names = ("reissued", "already", "gone", "failed", "forged", "unseen")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def test_after_a_rotation_and_a_reissue_each_image_verifies_with_the_new_key_alone(
    site: Site, tmp_path: Path
) -> None:
    service, registry = site.service, site.registry
    images = push_and_sign(service, registry, site.repository, many=MANY)
    new = rotate(service)
    assert accepted_by_openssl(tmp_path, registry, new, images[:1]) == []
    rehearsal = reissued(service, 2, dry_run=True)
    assert counts(rehearsal.report) == {"reissued": MANY}
    assert accepted_by_openssl(tmp_path, registry, new, images[:1]) == []
    done = reissued(service, 2)
    assert counts(done.report) == {"reissued": MANY}
    assert (done.job.progress.total, done.job.progress.done) == (MANY, MANY)
    deliver_everything(service)
    assert accepted_by_openssl(tmp_path, registry, new, images) == images
    made = service.store.journal.list(SignatureFilter(key="release"), PageRequest(500)).items
    told = {
        version: {
            (s.statement.digest, s.statement.format, s.statement.identity, s.statement.annotations)
            for s in made
            if s.statement.version == version
        }
        for version in (1, 2)
    }
    assert told[1] == told[2]
    assert len(told[2]) == 2 * MANY
    assert {one[3] for one in told[2]} == {tuple(ANNOTATIONS.items())}
    assert counts(reissued(service, 2).report) == {"already": MANY}


def test_after_a_compromise_ours_is_signed_again_and_the_thiefs_is_told(site: Site) -> None:
    service = site.service
    ours, recorded = site.signed()
    robbed, payload = site.push(), recorded.payload
    # The thief adds to an image of ours, and signs one of the thief's own.
    both, also = site.signed()
    site.attach_only(both, also.payload, site.stolen(also.payload))
    old, new = (Digest.parse(image.partition("@")[2]).hex for image in (ours, robbed))
    false = payload.replace(old.encode(), new.encode())
    site.attach_only(robbed, false, site.stolen(false))
    assert site.verdict(robbed).verdict is Verdict.VERIFIED
    rotate(service)
    move(service, 1, KeyState.COMPROMISED)
    done = reissued(service, 2).report
    assert counts(done) == {"reissued": 2, "forged": 2}
    assert {one.reference for one in done.forgeries} == {both, robbed}
    assert {(one.format, one.version) for one in done.forgeries} == {("cosign", 1)}
    found = service.store.findings.list(FindingFilter(code=SIGNATURE_FORGED), PageRequest()).items
    assert {one.severity for one in found} == {Severity.CRITICAL}
    assert {one.evidence["reference"] for one in found} == {both, robbed}
    deliver_everything(service)
    verdicts = {image: site.verdict(image).verdict for image in (ours, both, robbed)}
    assert verdicts == {
        ours: Verdict.VERIFIED,
        both: Verdict.VERIFIED,
        robbed: Verdict.REJECTED,
    }


def test_what_a_plugin_had_signed_is_left_to_it_and_not_called_forged(site: Site) -> None:
    service, plugged = site.service, replace(BUILDER, rights=frozenset({SIGN_PAYLOAD}))
    ours, _ = site.signed()
    images = [site.push(), site.push()]
    digests = [Digest.parse(image.partition("@")[2]) for image in images]
    name = f"{site.registry.host}/{site.repository}"
    wanted = (
        PayloadRequest("release", Encoding.SIMPLESIGNING, simple(digests[0], name)),
        PayloadRequest("release", Encoding.DSSE_PAE, pae(a_statement(digests[1]))),
    )
    made = [
        service.operations.sign_payload(plugged, one, idempotency_key=None, body_hash="")
        for one in wanted
    ]
    site.attach_only(images[0], wanted[0].unverified_payload, made[0].value)
    assert site.verdict(images[0]).verdict is Verdict.VERIFIED
    rotate(service)
    move(service, 1, KeyState.COMPROMISED)
    report = reissued(service, 2).report
    assert counts(report) == {"reissued": 1, "failed": 2}
    assert {one.code for one in report.failures} == {"made-by-another-tool"}
    assert {one.reference for one in report.failures} == {images[0], str(digests[1])}
    assert ours not in {one.reference for one in report.failures}


def test_an_image_that_is_gone_is_counted_and_one_that_cannot_be_is_told(site: Site) -> None:
    service = site.service
    site.signed()
    gone, _ = site.signed()
    manifest = f"/v2/{site.repository}/manifests/{gone.partition('@')[2]}"
    assert site.registry.request("DELETE", manifest).status == 202
    rotate(service)
    assert counts(reissued(service, 2).report) == {"reissued": 1, "gone": 1}


def test_a_registry_that_is_away_makes_the_job_wait_and_lose_nothing(
    site: Site, services: Services, first: TokenFixture
) -> None:
    site.signed()
    rotate(site.service)
    job = submit(site.service, 2).job
    services.registries = ("registry.example.com", "127.0.0.1:1")
    away = services(first)
    # Another process knows no such registry: for good, and so it is told.
    assert away.jobs.run_once(owner="own", stopping=lambda: False)
    report = away.operations.reissues.show(CUSTODIAN, job.id).report
    assert counts(report) == {"failed": 1, "unseen": 1}
    assert {one.code for one in report.failures} == {"registry-not-configured"}
    services.registries = (site.registry.host,)
    assert counts(reissued(services(first), 2).report) == {"reissued": 1}


def test_a_process_that_must_stop_leaves_the_rest_to_the_next(site: Site) -> None:
    push_and_sign(site.service, site.registry, site.repository, many=3)
    rotate(site.service)
    job = submit(site.service, 2).job
    assert site.service.jobs.run_once(owner="own", stopping=lambda: True)
    assert site.service.operations.reissues.show(CUSTODIAN, job.id).job.state is JobState.QUEUED
    assert site.service.jobs.run_once(owner="own", stopping=lambda: False)
    done = site.service.operations.reissues.show(CUSTODIAN, job.id)
    assert (done.job.state, counts(done.report)) == (JobState.DONE, {"reissued": 3})


def test_a_reissue_whose_worker_was_killed_signs_nothing_twice(
    site: Site, services: Services, first: TokenFixture, softhsm: object
) -> None:
    many = 4
    push_and_sign(site.service, site.registry, site.repository, many=many)
    rotate(site.service)
    job = submit(site.service, 2).job
    environment = {
        **os.environ,
        "SEALWRIGHT_STATE_DIR": str(services.directory),
        "SEALWRIGHT_DATABASE_URL": services.database_url,
        "SEALWRIGHT_REGISTRIES_FILE": str(services.directory / "registries.yaml"),
        "SEALWRIGHT_PKCS11_MODULE": str(first.module),
        "SEALWRIGHT_TOKEN_LABEL": first.label,
        "SEALWRIGHT_PIN_FILE": str(first.pin_file),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "FAULT": "9",
    }
    command = [sys.executable, "-m", "tests.support.job_process"]
    ended = subprocess.run(command, env=environment, check=False).returncode
    assert ended == -signal.SIGKILL
    expire_leases(services.database_url)
    assert site.service.jobs.run_once(owner="own", stopping=lambda: False)
    done = site.service.operations.reissues.show(CUSTODIAN, job.id)
    # What the dead run had signed stands, and is found.
    assert counts(done.report) == {"already": many}
    made = site.service.store.journal.list(SignatureFilter(key="release"), PageRequest(500)).items
    assert len([one for one in made if one.statement.version == 2]) == 2 * many


def test_only_custodians_ask_and_custodians_and_auditors_see(site: Site) -> None:
    reissues = site.service.operations.reissues
    auditor = Caller("cred_auditor", "auditor", "Ada", Role.AUDITOR)
    for caller in (BUILDER, auditor):
        with pytest.raises(ForbiddenError):
            reissues.submit(caller, Reissue("release", 1), idempotency_key=None)
    job = submit(site.service, 1).job
    assert reissues.show(auditor, job.id).job.id == job.id
    with pytest.raises(ForbiddenError):
        reissues.show(BUILDER, job.id)
    with pytest.raises(NotFoundError):
        reissues.show(auditor, "rei_unknown")


def test_only_an_active_version_of_a_key_for_images_can_sign_again(site: Site) -> None:
    reissues = site.service.operations.reissues
    for asked, error in (
        (Reissue("nobody", 1), KeyNotFoundError),
        (Reissue("release", 2), KeyNotFoundError),
        (Reissue("log", 1), KeyNotUsableError),
    ):
        with pytest.raises(error):
            reissues.submit(CUSTODIAN, asked, idempotency_key=None)
    rotate(site.service)
    with pytest.raises(KeyNotUsableError):
        reissues.submit(CUSTODIAN, Reissue("release", 1), idempotency_key=None)
    reissues.submit(CUSTODIAN, Reissue("release", 2), idempotency_key=None)


def test_the_record_goes_through_each_image_once(site: Site) -> None:
    push_and_sign(site.service, site.registry, site.repository, many=3)
    rotate(site.service)
    site.signed()  # under the new version only
    images = site.service.store.signed_images
    assert images.count("release", but=2) == 3
    seen, after = [], 0
    while page := images.page("release", but=2, after=after, limit=2):
        seen += [(str(one.repository), one.digest) for one in page]
        after = page[-1].number
    assert len(seen) == len(set(seen)) == 3
    here = Repository(site.registry.host, site.repository)
    assert list(images.repositories("release", but=2, after="")) == [here]
    assert list(images.repositories("release", but=2, after=str(here))) == []
