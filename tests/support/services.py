"""The production service in the test's own process: real store, real tokens, no HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from service.bootstrap.api import Service, build
from service.bootstrap.settings import Settings
from service.bootstrap.tokens_file import TokenSettings
from service.domain.acts import Performed
from service.domain.callers import Caller, Role
from service.domain.digests import Digest
from service.domain.keys import Key, KeyState, KeyVersion, Purpose
from service.domain.lifecycle import Move
from service.domain.signing import ImageToSign, SignedItem, SigningRequest
from service.domain.verdicts import ImageVerdict
from service.operations.generate_key import Generation
from tests.support.softhsm import TokenFixture

COSIGN = ("cosign",)
REGISTRY = "registry.example.com"
CUSTODIAN = Caller("cred_custodian", "custodian", "Grace Hopper", Role.CUSTODIAN)
BUILDER = Caller("cred_builder", "builder", "CI", Role.BUILDER, ("**",), ("*",))


@dataclass
class Services:
    """Builds services that share a database, each with the tokens that it is given."""

    directory: Path
    database_url: str
    closing: ExitStack = field(default_factory=ExitStack)
    registries: tuple[str, ...] = (REGISTRY,)
    policy: dict[str, object] = field(default_factory=dict)
    timestamps: dict[str, object] | None = None

    def __call__(self, *tokens: TokenFixture) -> Service:
        registries = self.directory / "registries.yaml"
        hosts = [{"host": host, "http": True} for host in self.registries]
        registries.write_text(json.dumps({"registries": hosts}))
        policy = self.directory / "policy.yaml"
        policy.write_text(json.dumps(self.policy))
        more = {}
        if self.timestamps is not None:
            timestamps = self.directory / "timestamps.yaml"
            timestamps.write_text(json.dumps(self.timestamps))
            more["SEALWRIGHT_TIMESTAMPS_FILE"] = str(timestamps)
        settings = Settings.read(
            {
                **more,
                "SEALWRIGHT_STATE_DIR": str(self.directory),
                "SEALWRIGHT_DATABASE_URL": self.database_url,
                "SEALWRIGHT_REGISTRIES_FILE": str(registries),
                "SEALWRIGHT_POLICY_FILE": str(policy),
            },
            need_token=False,
        )
        listed = tuple(
            TokenSettings(t.module, t.label, t.serial, t.pin_file, name=t.label) for t in tokens
        )
        service = build(replace(settings, tokens=listed))
        self.closing.callback(service.store.close)
        self.closing.callback(service.keyring.close)
        return service


@pytest.fixture
def services(sqlite_store_url: str, tmp_path: Path, softhsm: object) -> Iterator[Services]:
    made = Services(tmp_path, sqlite_store_url)
    with made.closing:
        yield made


def make_key(
    service: Service, name: str = "release", *, token: str, purpose: Purpose = Purpose.IMAGE
) -> Key:
    wanted = Generation(name, purpose, None, token)
    made = service.operations.custody.generate(CUSTODIAN, wanted)
    assert isinstance(made, Performed)
    assert isinstance(made.value, Key)
    return made.value


def rotate(
    service: Service, name: str = "release", *, token: str | None = None, alongside: bool = False
) -> KeyVersion:
    wanted = Generation(name, None, None, token, alongside=alongside)
    made = service.operations.custody.generate(CUSTODIAN, wanted)
    assert isinstance(made, Performed)
    assert isinstance(made.value, KeyVersion)
    return made.value


def move(service: Service, number: int, to: KeyState, **more: Any) -> KeyVersion:
    """Move a version of `release`."""
    moved = service.operations.custody.move(CUSTODIAN, Move("release", number, to, **more))
    assert isinstance(moved, Performed)
    assert isinstance(moved.value, KeyVersion)
    return moved.value


def sign(
    service: Service, what: object, *, key: str = "release", formats: tuple[str, ...] = COSIGN
) -> SignedItem:
    """Sign the digest of `what` without a registry."""
    reference = f"{REGISTRY}/team/app@{Digest.of(repr(what).encode())}"
    return sign_image(service, reference, key=key, formats=formats, attach=False)


def sign_image(
    service: Service,
    reference: str,
    *,
    key: str = "release",
    formats: tuple[str, ...] = COSIGN,
    attach: bool = True,
    force: bool = False,
) -> SignedItem:
    images = (ImageToSign(reference),)
    request = SigningRequest(images, key=key, formats=formats, attach=attach, force=force)
    (item,) = service.operations.sign(BUILDER, request, idempotency_key=None, body_hash="")
    return item


def verdict(service: Service, reference: str) -> ImageVerdict:
    (found,) = service.operations.verify(BUILDER, [reference], recursive=False)
    return found
