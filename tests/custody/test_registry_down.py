"""A registry that is down for an hour, on a clock that the test turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import sqlalchemy

from service.bootstrap.api import Service
from service.domain.digests import Descriptor, Digest
from service.domain.errors import RegistryUnavailableError
from service.domain.media_types import OCI_MANIFEST
from service.domain.outbox import OrderKind
from service.domain.pages import PageRequest
from service.domain.references import Repository
from service.domain.signing import Attachable, AttachmentWish
from service.operations.deliver import DeliverAttachments
from service.operations.pauses import RegistryPauses
from service.ports.registry import Attached
from tests.support.services import REGISTRY, Services, make_key, sign_image
from tests.support.softhsm import TokenFixture

OTHER = "other.example.com"
STEP_SECONDS = 15
HOUR = 3600
IMAGES = 40


@dataclass
class Turned:
    seconds: float = 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Registries:
    """An attacher for registries of which some are away, and which counts who was asked."""

    away: set[str] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)

    def attach(
        self,
        repository: Repository,
        subject: Digest,
        contents: Sequence[Attachable],
        *,
        seconds: float,
    ) -> Attached:
        self.asked[repository.host] += 1
        if repository.host in self.away:
            raise RegistryUnavailableError("the registry did not answer")
        return Attached((subject,) * len(contents), OCI_MANIFEST, "seen", added=True, watched=False)


@dataclass
class Bench:
    service: Service
    url: str
    clock: Turned
    registries: Registries
    deliver: DeliverAttachments

    def order(self, host: str, name: str) -> None:
        digest = Digest.of(name.encode())
        item = sign_image(self.service, f"{host}/team/app@{digest}", attach=False)
        assert item.error is None
        wish = AttachmentWish(
            item.signatures[0].id, OrderKind.ATTACH, Descriptor(OCI_MANIFEST, digest, 401)
        )
        self.service.store.outbox.order_attachments([wish], owner="own", seconds=0)

    def step(self) -> None:
        """Let some seconds pass for this process and for the database, and go one round."""
        self.clock.seconds += STEP_SECONDS
        engine = sqlalchemy.create_engine(self.url)
        with engine.begin() as connection:
            connection.execute(
                sqlalchemy.text("UPDATE outbox SET due_at = due_at - :step"),
                {"step": STEP_SECONDS * 1000},
            )
        engine.dispose()
        self.deliver.run_once(owner="worker", limit=100)

    def states(self) -> Counter[tuple[str, str]]:
        listed = self.service.store.outbox.list_orders(None, PageRequest(500)).items
        return Counter((one.repository.host, one.state.value) for one in listed)


def bench(services: Services, token: TokenFixture) -> Bench:
    services.registries = (REGISTRY, OTHER)
    service = services(token)
    make_key(service, token=token.label)
    clock, registries = Turned(), Registries({REGISTRY})
    deliver = replace(
        service.deliver,
        attachers=dict.fromkeys(OrderKind, registries),
        pauses=RegistryPauses(clock),
    )
    return Bench(service, services.database_url, clock, registries, deliver)


def test_after_an_hour_without_a_registry_nothing_is_lost_and_nobody_else_has_waited(
    services: Services, first: TokenFixture
) -> None:
    down = bench(services, first)
    for number in range(IMAGES):
        down.order(REGISTRY, str(number))
    down.step()
    down.order(OTHER, "late")
    down.step()
    assert down.states() == {(REGISTRY, "waiting"): IMAGES, (OTHER, "done"): 1}
    while down.clock.seconds < HOUR:
        down.step()
    # Nothing was parked. The registry was asked for some of them a minute, never for each.
    assert down.states() == {(REGISTRY, "waiting"): IMAGES, (OTHER, "done"): 1}
    assert down.registries.asked[REGISTRY] < IMAGES * HOUR / 300 * 2
    down.registries.away.clear()
    back = down.clock.seconds
    while down.states()[REGISTRY, "done"] < IMAGES:
        down.step()
        assert down.clock.seconds - back < 600
    assert down.registries.asked[OTHER] == 1


def test_a_pause_grows_with_each_silence_and_ends_with_an_answer() -> None:
    clock = Turned()
    pauses = RegistryPauses(clock)
    assert pauses.left(REGISTRY) == 0.0
    lengths = []
    for _ in range(12):
        pauses.was_silent(REGISTRY)
        pauses.was_silent(REGISTRY)  # at the same time: counts once
        lengths.append(pauses.left(REGISTRY))
        clock.seconds += lengths[-1]
        assert pauses.left(REGISTRY) == 0.0
    assert lengths[0] < 1.0
    assert 45.0 <= lengths[-1] <= 75.0
    pauses.was_silent(REGISTRY)
    assert pauses.left(OTHER) == 0.0
    pauses.answered(REGISTRY)
    assert pauses.left(REGISTRY) == 0.0
    pauses.was_silent(REGISTRY)
    assert pauses.left(REGISTRY) < 1.0
