"""A rotation and a reissue of 1,000 images (`make drill`; tests/custody/test_reissue.py has 30)."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from service.domain.keys import Purpose
from tests.support.registry import DockerRegistry
from tests.support.reissuing import (
    accepted_by_openssl,
    deliver_everything,
    employ_custodian,
    push_and_sign,
    reissued,
)
from tests.support.services import Services, make_key, rotate
from tests.support.softhsm import SoftHSM

MANY = 1000


@pytest.mark.timeout(1800)
def test_a_thousand_images_verify_with_the_new_key_alone(
    services: Services, registry: DockerRegistry, softhsm: SoftHSM, tmp_path: Path
) -> None:
    services.registries = (registry.host,)
    token = softhsm.token("drill reissue")
    service = services(token)
    make_key(service, token=token.label)
    make_key(service, "log", token=token.label, purpose=Purpose.LOG)
    employ_custodian(service)
    repository = f"drill/{uuid.uuid4().hex[:12]}"
    images = push_and_sign(service, registry, repository, many=MANY)
    new = rotate(service)
    report = reissued(service, new.version).report
    assert (report.reissued, report.images, report.failures) == (MANY, MANY, ())
    deliver_everything(service)
    assert accepted_by_openssl(tmp_path, registry, new, images) == images
