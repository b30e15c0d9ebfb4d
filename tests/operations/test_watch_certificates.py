"""What is told of certificates that end, and when it is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.errors import StoreUnavailableError
from service.domain.findings import CERTIFICATE_EXPIRING, Finding, NewFinding, Severity
from service.domain.keys import KeyState
from service.domain.lifecycle import Move
from service.domain.pages import PageRequest
from service.domain.x509_names import subject_of
from service.operations.watch_certificates import WatchCertificates
from service.ports.metrics import CERTIFICATE_NOT_AFTER
from service.ports.store import FindingFilter
from service.store import Store
from tests.support.oci import TurnedClock
from tests.support.operations import World
from tests.support.records import make_key

DAY = 86400.0


@dataclass
class Watched:
    store: Store
    clock: TurnedClock = field(default_factory=TurnedClock)

    def __post_init__(self) -> None:
        self.watch = WatchCertificates(self.store.certificates, self.store.findings, self.clock)

    def certify(self, key: str = "release", *, days: float = 100, der: bytes = b"one") -> None:
        begin = self.clock.now()
        subject = subject_of({"C": "CH", "ST": "Bern", "O": "Example", "CN": f"{key} 1"})
        chain = CertificateChain(
            ChainOrigin.IMPORTED, (der, b"root"), subject, begin, begin + timedelta(days=days)
        )
        self.store.certificates.record(key, 1, chain, actor="custodian")

    def found(self, *, is_open: bool = True) -> list[Finding]:
        wanted = FindingFilter(is_open=is_open, code=CERTIFICATE_EXPIRING)
        return list(self.store.findings.list(wanted, PageRequest()).items)

    def severities(self) -> list[str]:
        self.watch()
        return [found.severity.value for found in self.found()]


@pytest.fixture
def watched(store: Store) -> Watched:
    made = Watched(store)
    make_key(store)
    return made


def test_a_certificate_is_told_of_thirty_days_before_its_end_and_again_at_seven(
    watched: Watched,
) -> None:
    watched.certify(days=100)
    assert watched.severities() == []
    assert watched.watch.warnings() == []
    for passed, expected in (
        (69.9, []),
        (0.2, ["medium"]),
        (22.8, ["medium"]),
        (0.2, ["high"]),
        (6.8, ["high"]),
        (0.2, ["critical"]),
        (300, ["critical"]),
    ):
        watched.clock.turn(passed * DAY)
        assert watched.severities() == expected
        assert len(watched.watch.warnings()) == len(expected)
    assert [found.severity.value for found in watched.found(is_open=False)] == ["high", "medium"]


def test_it_is_told_once_with_the_evidence_and_closed_when_it_is_replaced(
    watched: Watched,
) -> None:
    watched.certify(days=20)
    for _ in range(3):
        assert watched.severities() == ["medium"]
    [found] = watched.found()
    assert found.subject == "release/1"
    assert found.evidence["certificate"] == "CN=release 1,O=Example,ST=Bern,C=CH"
    assert found.evidence["not_after"] == "2026-01-21T00:00:00.000Z"
    watched.certify(days=20, der=b"two")
    assert watched.severities() == ["medium"]
    [again] = watched.found()
    assert again.evidence["thumbprint"] != found.evidence["thumbprint"]
    watched.certify(days=1000)
    assert watched.severities() == []
    assert len(watched.found(is_open=False)) == 2


@pytest.mark.parametrize("state", [KeyState.RETIRED, KeyState.COMPROMISED])
def test_nobody_is_troubled_with_what_signs_no_more(watched: Watched, state: KeyState) -> None:
    watched.certify(days=1)
    assert watched.severities() == ["high"]
    watched.store.keys.move(Move("release", 1, KeyState.SUSPENDED), actor="custodian")
    assert watched.severities() == ["high"]
    watched.store.keys.move(Move("release", 1, state), actor="custodian")
    assert watched.severities() == []
    assert watched.watch.readings() == []


def test_findings_of_other_kinds_are_left_alone(watched: Watched) -> None:
    other = NewFinding("something-else", Severity.LOW, "release/1")
    watched.store.findings.open(other)
    watched.certify(days=1)
    watched.watch()
    watched.certify(days=1000)
    watched.watch()
    still = watched.store.findings.list(FindingFilter(is_open=True), PageRequest()).items
    assert [found.code for found in still] == ["something-else"]


def test_every_one_of_many_is_told_and_closed(watched: Watched) -> None:
    names = [f"key{n:03}" for n in range(130)]  # more than one page of findings
    for name in names:
        make_key(watched.store, name)
        watched.certify(name, days=3)
    watched.watch()
    assert len(watched.watch.warnings()) == len(names)
    for name in names:
        watched.certify(name, days=300)
    watched.watch()
    assert watched.found() == []


def test_a_warning_says_what_ends_and_when(watched: Watched) -> None:
    watched.certify(days=3)
    [warning] = watched.watch.warnings()
    assert (warning.code, warning.subject) == (CERTIFICATE_EXPIRING, "release/1")
    assert warning.detail == (
        "the certificate CN=release 1,O=Example,ST=Bern,C=CH ends on 2026-01-04T00:00:00.000Z"
    )
    watched.clock.turn(4 * DAY)
    assert "ended on" in watched.watch.warnings()[0].detail


def test_the_gauge_shows_the_end_of_each_chain(watched: Watched) -> None:
    watched.certify(days=50)
    [reading] = watched.watch.readings()
    assert (reading.gauge, reading.labels) == (CERTIFICATE_NOT_AFTER, ("release", "1"))
    assert reading.value == (watched.clock.now() + timedelta(days=50)).timestamp()


class Away:
    def warnings(self) -> list[object]:
        raise StoreUnavailableError


def test_readiness_warns_without_failing_and_is_silent_about_what_it_cannot_ask(
    world: World, watched: Watched
) -> None:
    watched.certify(days=3)
    readiness = replace(world.operations.readiness, watched=[watched.watch])
    assert [w.subject for w in readiness.warnings()] == ["release/1"]
    assert readiness.check("verify").ready
    away = replace(readiness, watched=[Away(), watched.watch])  # type: ignore[list-item]
    assert [w.subject for w in away.warnings()] == ["release/1"]
