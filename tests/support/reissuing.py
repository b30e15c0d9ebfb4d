"""Rotation and reissue of many images, held against the new public key by openssl alone."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_der_public_key

from service.bootstrap.api import Service
from service.domain.callers import Credential
from service.domain.clock import SystemClock
from service.domain.digests import Digest
from service.domain.jobs import JobState
from service.domain.keys import KeyVersion
from service.domain.reissues import Reissue
from service.domain.signing import ImageToSign, SigningRequest
from service.formats.siglist import SIGNATURE_ANNOTATION
from service.operations.reissue_jobs import ReissueJob
from tests.support.registry import DockerRegistry
from tests.support.services import BUILDER, CUSTODIAN

ANNOTATIONS = {"org.example.commit": "f00"}


def employ_custodian(service: Service) -> None:
    """Record the credential that jobs are run on behalf of."""
    service.store.credentials.create(
        Credential(CUSTODIAN, "hash", SystemClock().now()), actor="test", only_if_no_admin=False
    )


def push_and_sign(
    service: Service, registry: DockerRegistry, repository: str, *, many: int
) -> list[str]:
    """Return the references of signed images, each with a name and annotations of its own."""
    images = [
        f"{registry.host}/{repository}@"
        f"{registry.push_image(repository, None, {'x': uuid.uuid4().bytes})}"
        for _ in range(many)
    ]
    request = SigningRequest(
        tuple(
            ImageToSign(image, identity=f"{registry.host}/{repository}:1.{number}")
            for number, image in enumerate(images)
        ),
        key="release",
        formats=("cosign", "bundle"),
        annotations=ANNOTATIONS,
    )
    items = service.operations.sign(BUILDER, request, idempotency_key=None, body_hash="")
    assert [item.error for item in items] == [None] * many
    return images


def submit(service: Service, version: int, *, dry_run: bool = False) -> ReissueJob:
    asked = Reissue("release", version, dry_run=dry_run)
    return service.operations.reissues.submit(CUSTODIAN, asked, idempotency_key=None)


def reissued(service: Service, version: int, *, dry_run: bool = False) -> ReissueJob:
    """Have the images signed again, and return the job when it is done."""
    job = submit(service, version, dry_run=dry_run).job
    assert service.jobs.run_once(owner="own", stopping=lambda: False)
    shown = service.operations.reissues.show(CUSTODIAN, job.id)
    assert shown.job.state is JobState.DONE, shown.job.error
    return shown


def deliver_everything(service: Service) -> None:
    """Do what the worker would: what the job's waiting did not see delivered."""
    while service.deliver.run_once(owner="worker"):
        pass


def accepted_by_openssl(
    directory: Path, registry: DockerRegistry, version: KeyVersion, images: Sequence[str]
) -> list[str]:
    """Return the images with a `.sig` signature that openssl verifies under this version alone."""
    key = load_der_public_key(version.public_key)
    public = directory / f"v{version.version}.pem"
    public.write_bytes(
        key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return [image for image in images if _has_one(directory, registry, public, image)]


def _has_one(directory: Path, registry: DockerRegistry, public: Path, image: str) -> bool:
    name, _, digest = image.partition("@")
    repository = name.partition("/")[2]
    for layer in registry.signature_layers(repository, Digest.parse(digest)):
        payload = registry.get_blob(repository, str(layer["digest"]))
        annotations = layer["annotations"]
        assert payload is not None
        assert isinstance(annotations, dict)
        (directory / "payload").write_bytes(payload)
        (directory / "signature").write_bytes(base64.b64decode(annotations[SIGNATURE_ANNOTATION]))
        words = ["openssl", "dgst", "-sha256", "-verify", str(public)]
        words += ["-signature", str(directory / "signature"), str(directory / "payload")]
        done = subprocess.run(words, capture_output=True, check=False)
        if done.returncode == 0:
            return True
    return False
