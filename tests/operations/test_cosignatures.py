"""Witnesses cosign our checkpoints; what they answer is believed as far as it verifies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.domain.clock import SystemClock
from service.domain.errors import NotFoundError
from service.domain.log import LogName
from service.domain.pages import PageRequest
from service.operations.fanout import Fanout
from service.operations.log import CollectCosignatures, ReadLog, SignatureLog
from service.ports.store import FindingFilter
from service.store import Store
from service.translog.cosignatures import Witness, check_cosignatures
from service.translog.notes import Note
from service.witnesses import WitnessConfig, WitnessHTTP
from tests.support.logs import make_log, make_log_key, new_signer
from tests.support.records import a_statement, an_intent, make_key, sign
from tests.support.witness import SmallWitness, served

LOG = LogName.SIGNATURES
NAME = "log.example.test"


class ManualClock(SystemClock):
    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@dataclass
class Site:
    store: Store
    log: SignatureLog
    witness: SmallWitness
    collect: CollectCosignatures
    clock: ManualClock

    def grow(self, name: str, count: int = 1) -> None:
        intents = [
            an_intent(a_statement(f"{name}{n}"), request_id=name, item=n) for n in range(count)
        ]
        sign(self.store, *intents, owner=name)
        self.log.extend(LOG, seconds=20)

    def again(self) -> None:
        self.clock.ahead += 1000
        self.collect()

    @property
    def read(self) -> ReadLog:
        return ReadLog(self.store.log_reader, self.store.cosignatures)

    def cosigned(self, *, newest: bool = True) -> int:
        """Return how many good cosignatures the served checkpoint has; others would raise."""
        note = Note.parse(self.read.checkpoint(LOG, cosigned=not newest))
        assert note.signatures[0].name == NAME
        return len(check_cosignatures(note, [Witness.parse(self.witness.vkey)]))

    def findings(self) -> list[str]:
        found = self.store.findings.list(FindingFilter(), PageRequest()).items
        return [f"{one.severity} {one.code} {one.subject}" for one in found]


@pytest.fixture
def site(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    signer = new_signer()
    make_key(store)
    key = make_log_key(store, signer)
    log = make_log(store, signer, tmp_path / "outside")
    witness, clock = SmallWitness(NAME, key.versions[0].public_key), ManualClock()
    fanout = Fanout(1)
    with served(witness) as url:
        config = WitnessConfig(Witness.parse(witness.vkey), url)
        calls = WitnessHTTP(config, clock, seconds=getattr(request, "param", 60.0))
        collect = CollectCosignatures(
            [calls],
            store.log_reader,
            store.cosignatures,
            findings=store.findings,
            fanout=fanout,
            clock=clock,
        )
        yield Site(store, log, witness, collect, clock)
    fanout.close()


def test_a_witness_cosigns_each_checkpoint_that_it_is_shown_and_none_twice(site: Site) -> None:
    site.collect()
    assert site.witness.asked == 0  # there is no checkpoint yet
    for count in (1, 2, 5, 300):
        site.grow(f"s{count}", count)
        assert site.cosigned() == 0
        site.collect()
        assert site.cosigned() == 1
    assert site.witness.asked == 4
    site.collect()
    assert site.witness.asked == 4
    assert site.witness.seen[0] == 308


def test_the_newest_cosigned_checkpoint_is_served_while_the_newest_is_not_yet(site: Site) -> None:
    site.grow("first")
    with pytest.raises(NotFoundError):
        site.read.checkpoint(LOG, cosigned=True)
    site.collect()
    site.grow("second")
    assert (site.cosigned(), site.cosigned(newest=False)) == (0, 1)
    assert site.read.checkpoint(LOG, cosigned=True).split("\n")[1] == "1"
    assert site.read.checkpoint(LOG).split("\n")[1] == "2"


def test_a_witness_that_remembers_another_size_is_asked_from_there(site: Site) -> None:
    site.grow("first", 3)
    site.collect()
    remembered = site.witness.seen
    site.grow("second", 4)
    site.collect()
    site.witness.seen = remembered  # it was put back to an older state
    site.grow("third", 2)
    site.collect()
    assert site.cosigned() == 1
    assert site.witness.asked == 4
    site.witness.seen = (0, b"")
    site.grow("fourth")
    site.collect()
    assert site.cosigned() == 1
    assert site.findings() == []


def test_a_witness_that_has_seen_more_or_another_tree_is_a_critical_finding(site: Site) -> None:
    site.grow("first", 3)
    site.witness.seen = (3, bytes(32))
    site.collect()
    assert site.cosigned() == 0
    told = f"critical log-not-as-witnessed signatures {site.witness.name}"
    assert site.findings() == [told]
    site.witness.seen = (7, bytes(32))
    site.again()
    assert site.findings() == [told]


ANSWERS: dict[str, Callable[[SmallWitness], tuple[int, dict[str, str], bytes]]] = {
    "unknown log": lambda _: (404, {}, b""),
    "not its key": lambda _: (403, {}, b""),
    "broken": lambda _: (500, {}, b"oh"),
    "redirect": lambda _: (302, {"Location": "http://127.0.0.1:1/"}, b""),
    "nothing": lambda _: (200, {}, b""),
    "no line": lambda _: (200, {}, b"hello\n"),
    "no text": lambda _: (200, {}, b"\xff\n"),
    "another checkpoint": lambda w: (200, {}, w.cosign("other\n1\nAAAA\n").encode()),
    "another key": lambda w: (200, {}, SmallWitness("x", b"", "y").cosign("x\n").encode()),
    "endless": lambda _: (200, {}, b"x" * 200_000),
    "conflict without a size": lambda _: (409, {}, b"3\n"),
    "conflict of no size": lambda _: (409, {"Content-Type": "text/x.tlog.size"}, b"-1\n"),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_what_is_no_cosignature_is_not_kept_and_asked_for_again_later(site: Site, how: str) -> None:
    site.grow("first")
    site.witness.instead = ANSWERS[how](site.witness)
    site.collect()
    assert site.cosigned() == 0
    asked = site.witness.asked
    site.collect()
    assert site.witness.asked == asked  # not at once
    site.witness.instead = None
    site.again()
    assert site.cosigned() == 1
    assert site.findings() == []


@pytest.mark.parametrize("site", [1.0], indirect=True)
def test_a_witness_that_is_away_or_silent_stops_nothing(site: Site) -> None:
    site.witness.holds.clear()
    site.grow("first")
    site.collect()
    assert site.cosigned() == 0
    site.grow("second")
    site.witness.holds.set()
    while site.cosigned() == 0:  # a machine that stalls may be silent for a second, too
        site.again()
