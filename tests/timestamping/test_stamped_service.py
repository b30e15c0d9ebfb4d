"""The whole service with authorities in its time-stamps file: who stamps, and what if nobody does."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.bootstrap.api import Service
from service.domain.errors import TimestampKeyMissingError, TimestampUnavailableError
from service.domain.keys import Purpose
from service.domain.signing import AttachmentState, SignedItem
from service.formats.simplesigning import TIMESTAMP_ANNOTATION
from service.operations.certify_version import SelfSigning
from tests.support.openssl_tsa import OpenSSLAuthority
from tests.support.registry import DockerRegistry
from tests.support.scripted_http import Received, Scripted, ScriptedServer
from tests.support.services import CUSTODIAN, Services, make_key, sign, sign_image
from tests.support.softhsm import SoftHSM, TokenFixture

PLACE = {"C": "CH", "ST": "Bern", "O": "Example"}


@dataclass
class External:
    """openssl behind HTTP, which can be away."""

    openssl: OpenSSLAuthority
    is_away: bool = False
    server: ScriptedServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = ScriptedServer(self._serve)

    def _serve(self, request: Received) -> Scripted:
        return Scripted(503) if self.is_away else self.openssl.serve(request)

    def entry(self, name: str = "openssl") -> dict[str, object]:
        url = f"http://{self.server.host}/"
        roots = str(self.openssl.place / "chain.pem")
        return {"name": name, "url": url, "http": True, "chain_file": roots}


@pytest.fixture(scope="session")
def token(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("stamping")


@pytest.fixture
def external(tmp_path: Path) -> Iterator[External]:
    made = External(OpenSSLAuthority(tmp_path / "openssl", kind="p256"))
    with made.server:
        yield made


def started(
    services: Services, token: TokenFixture, *authorities: object, **more: object
) -> Service:
    services.timestamps = {"authorities": list(authorities), **more}
    service = services(token)
    make_key(service, token=token.label)
    return service


def own_key(service: Service, token: TokenFixture) -> None:
    make_key(service, "tsa", token=token.label, purpose=Purpose.TIMESTAMP)
    wanted = SelfSigning("tsa", 1, PLACE, days=30)
    service.operations.certificates.self_sign(CUSTODIAN, wanted, token=token.label)


def stamped_by(item: SignedItem) -> list[str | None]:
    assert item.error is None, item.error
    return [s.timestamp and s.timestamp.authority for s in item.signatures]


def test_while_nobody_stamps_nothing_leaves_and_what_was_signed_is_stamped_later(
    services: Services, token: TokenFixture, external: External, registry: DockerRegistry
) -> None:
    services.registries = (registry.host,)
    services.policy = {"signing": {"allow_tags": True}}
    service = started(services, token, external.entry())
    repository = f"stamps/{uuid.uuid4().hex[:12]}"
    digest = registry.push_image(repository, None, {"x": b"1"})
    image = f"{registry.host}/{repository}@{digest}"
    external.is_away = True
    failed = sign_image(service, image)
    assert isinstance(failed.error, TimestampUnavailableError)
    assert "openssl: it answered 503" in str(failed.error)
    assert failed.signatures == ()
    assert registry.get_manifest(repository, f"sha256-{digest.hex}.sig") is None
    external.is_away = False
    asked_again = datetime.now(UTC)
    item = sign_image(service, image)
    assert stamped_by(item) == ["openssl"]
    [signature] = item.signatures
    assert signature.attachment.state is AttachmentState.ATTACHED
    assert signature.created_at < asked_again  # so it is the one that was made before
    [layer] = registry.signature_layers(repository, digest)
    held = json.loads(layer["annotations"][TIMESTAMP_ANNOTATION])
    assert signature.timestamp is not None
    assert base64.b64decode(held["SignedRFC3161Timestamp"]) == signature.timestamp.reply


def test_the_worker_stamps_what_its_request_could_not(
    services: Services, token: TokenFixture, external: External, registry: DockerRegistry
) -> None:
    services.registries = (registry.host,)
    service = started(services, token, external.entry())
    repository = f"stamps/{uuid.uuid4().hex[:12]}"
    digest = registry.push_image(repository, None, {"x": b"1"})
    external.is_away = True
    assert sign_image(service, f"{registry.host}/{repository}@{digest}").error is not None
    external.is_away = False
    deadline = time.monotonic() + 60
    while not service.deliver.run_once(owner="worker"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    [layer] = registry.signature_layers(repository, digest)
    assert TIMESTAMP_ANNOTATION in layer["annotations"]


def test_the_next_authority_stamps_where_the_first_is_away(
    services: Services, token: TokenFixture, external: External
) -> None:
    service = started(services, token, external.entry(), {"name": "own"})
    own_key(service, token)
    assert stamped_by(sign(service, 1)) == ["openssl"]
    external.is_away = True
    assert stamped_by(sign(service, 2)) == ["own"]
    assert stamped_by(sign(service, 1)) == ["openssl"]  # for good


def test_what_a_file_demands_is_not_forgiven_for_want_of_a_key(
    services: Services, token: TokenFixture
) -> None:
    service = started(services, token, {"name": "own"})
    failed = sign(service, 1).error
    assert isinstance(failed, TimestampUnavailableError)
    assert str(failed) == f"own: {TimestampKeyMissingError()}"
    own_key(service, token)
    assert stamped_by(sign(service, 1)) == ["own"]


def test_only_signatures_of_the_named_keys_are_stamped(
    services: Services, token: TokenFixture, external: External
) -> None:
    service = started(services, token, external.entry(), keys=["release"])
    make_key(service, "other", token=token.label)
    assert stamped_by(sign(service, 1)) == ["openssl"]
    assert stamped_by(sign(service, 1, key="other")) == [None]
    assert stamped_by(sign(service, 1, formats=("cosign", "openpgp"))) == ["openssl", None]


def test_a_file_without_authorities_keeps_our_own_from_stamping(
    services: Services, token: TokenFixture
) -> None:
    service = started(services, token)
    own_key(service, token)
    assert stamped_by(sign(service, 1)) == [None]
    services.timestamps = None
    assert stamped_by(sign(services(token), 1)) == ["own"]
