"""Versions on both databases: moved, added, placed; suspended in the middle of a signature."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from service.domain.errors import (
    InvalidRequestError,
    KeyMoveForbiddenError,
    KeyNotFoundError,
    LeaseLostError,
    PublicKeyTakenError,
    ServiceError,
)
from service.domain.findings import NewFinding, Severity
from service.domain.keys import (
    NEXT_STATES,
    Algorithm,
    GeneratedKey,
    KeyState,
    KeyVersion,
    Location,
)
from service.domain.lifecycle import Move, NewVersion
from service.domain.pages import PageRequest
from service.ports.store import FindingFilter
from service.store import Store
from tests.support.records import MOMENT, a_key, a_statement, an_intent, an_outcome, make_key, sign

FIRST = PageRequest()
EARLIER = datetime(2025, 6, 1, tzinfo=UTC)
WAY_TO = {
    KeyState.STAGED: (),
    KeyState.ACTIVE: (KeyState.ACTIVE,),
    KeyState.SUSPENDED: (KeyState.ACTIVE, KeyState.SUSPENDED),
    KeyState.RETIRED: (KeyState.ACTIVE, KeyState.RETIRED),
    KeyState.COMPROMISED: (KeyState.COMPROMISED,),
    KeyState.DESTROYED: (KeyState.DESTROYED,),
}
"""How a staged version gets into each state."""


def events(store: Store, *actions: str) -> list[dict[str, Any]]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    bodies = [orjson.loads(row) for row in rows]
    return [body for body in bodies if not actions or body["action"] in actions]


def another(name: str) -> GeneratedKey:
    return a_key(name)[1]


def rotate(
    store: Store,
    name: str,
    *,
    state: KeyState = KeyState.ACTIVE,
    alongside: bool = False,
    algorithm: Algorithm = Algorithm.EC_P256,
) -> KeyVersion:
    new = NewVersion("release", algorithm, state, alongside)
    return store.keys.add_version(new, another(name), created_at=MOMENT, actor="custodian")


def move(store: Store, number: int, to: KeyState, **more: Any) -> KeyVersion:
    return store.keys.move(Move("release", number, to, **more), actor="custodian")


def states(store: Store) -> dict[int, str]:
    key = store.keys.get("release")
    assert key is not None
    return {version.version: version.state.value for version in key.versions}


@pytest.mark.parametrize(
    ("old", "new"),
    [pytest.param(*p, id="-to-".join(p)) for p in itertools.product(KeyState, KeyState)],
)
def test_a_version_moves_as_the_table_says_and_no_other_way(
    sqlite_store_url: str, old: KeyState, new: KeyState
) -> None:
    store = Store(sqlite_store_url)
    make_key(store)
    number = rotate(store, "second", state=KeyState.STAGED).version
    for state in WAY_TO[old]:
        move(store, number, state)
    assert states(store)[number] == old
    if new in NEXT_STATES[old]:
        assert move(store, number, new).state is new
        assert states(store)[number] == new
    else:
        with pytest.raises(KeyMoveForbiddenError) as caught:
            move(store, number, new)
        assert set(caught.value.allowed) == set(NEXT_STATES[old])
        assert states(store)[number] == old
    store.close()


def test_a_new_version_takes_the_place_of_the_active_one(store: Store) -> None:
    make_key(store)
    made = rotate(store, "second", algorithm=Algorithm.EC_P384)
    assert (made.version, made.state, made.algorithm) == (2, KeyState.ACTIVE, Algorithm.EC_P384)
    assert states(store) == {1: "retired", 2: "active"}
    key = store.keys.get("release")
    assert key is not None
    assert key.algorithm is Algorithm.EC_P256
    assert key.version(2) == made
    [created, retired] = events(store, "key.version-created", "key.retired")
    assert (created["subject"], created["details"]["algorithm"]) == ("release/2", "ec-p384")
    assert (retired["subject"], retired["details"]["reason"]) == (
        "release/1",
        "version 2 took its place",
    )


def test_a_staged_version_changes_nothing_before_it_is_activated(store: Store) -> None:
    make_key(store)
    rotate(store, "second", state=KeyState.STAGED)
    assert states(store) == {1: "active", 2: "staged"}
    move(store, 2, KeyState.ACTIVE, reason="planned")
    assert states(store) == {1: "retired", 2: "active"}
    [activated] = events(store, "key.activated")
    assert activated["details"] == {
        "alongside": False,
        "fingerprint": another("second").public_key and activated["details"]["fingerprint"],
        "from": "staged",
        "reason": "planned",
        "to": "active",
    }


def test_alongside_leaves_the_others_active_at_once_or_at_its_activation(store: Store) -> None:
    make_key(store)
    rotate(store, "second", alongside=True)
    assert states(store) == {1: "active", 2: "active"}
    rotate(store, "third", state=KeyState.STAGED, alongside=True)
    move(store, 3, KeyState.ACTIVE)
    assert set(states(store).values()) == {"active"}
    rotate(store, "fourth", state=KeyState.STAGED, alongside=True)
    move(store, 4, KeyState.ACTIVE, alongside=False)
    assert states(store) == {1: "retired", 2: "retired", 3: "retired", 4: "active"}
    rotate(store, "fifth", state=KeyState.STAGED)
    move(store, 5, KeyState.ACTIVE, alongside=True)
    assert states(store)[4] == states(store)[5] == "active"


def test_rotation_leaves_a_suspended_version_to_its_custodian(store: Store) -> None:
    make_key(store)
    move(store, 1, KeyState.SUSPENDED)
    rotate(store, "second")
    assert states(store) == {1: "suspended", 2: "active"}
    move(store, 1, KeyState.ACTIVE)
    assert states(store) == {1: "active", 2: "active"}
    assert [e["action"] for e in events(store)][-1] == "key.unsuspended"


@pytest.mark.parametrize(
    ("to", "more"),
    [
        (KeyState.RETIRED, {"since": EARLIER}),
        (KeyState.SUSPENDED, {"alongside": True}),
    ],
)
def test_what_has_no_place_in_a_move_is_refused(
    store: Store, to: KeyState, more: dict[str, Any]
) -> None:
    make_key(store)
    with pytest.raises(InvalidRequestError):
        move(store, 1, to, **more)
    assert states(store) == {1: "active"}
    move(store, 1, to)


def test_a_version_that_is_not_there_does_not_move(store: Store) -> None:
    make_key(store)
    with pytest.raises(KeyNotFoundError):
        move(store, 2, KeyState.RETIRED)
    with pytest.raises(KeyNotFoundError):
        store.keys.move(Move("none", 1, KeyState.RETIRED), actor="custodian")
    with pytest.raises(KeyNotFoundError):
        store.keys.add_version(
            NewVersion("none", Algorithm.EC_P256), another("x"), created_at=MOMENT, actor="c"
        )


def test_a_compromise_outlives_the_state_and_opens_one_finding(store: Store) -> None:
    make_key(store)
    rotate(store, "second")
    moved = move(store, 1, KeyState.COMPROMISED, since=EARLIER, reason="laptop lost")
    assert (moved.compromised_since, moved.compromise_reason) == (EARLIER, "laptop lost")
    move(store, 1, KeyState.DESTROYED)
    move(store, 2, KeyState.RETIRED)
    move(store, 2, KeyState.DESTROYED)
    key = store.keys.get("release")
    assert key is not None
    first, second = key.versions
    assert (first.trusted, first.compromised_since) == (False, EARLIER)
    assert (second.trusted, second.state) == (True, KeyState.DESTROYED)
    assert store.keys.compromised() == [first]
    [finding] = store.findings.list(FindingFilter(), FIRST).items
    assert (finding.code, finding.severity, finding.subject) == (
        "key-compromised",
        Severity.CRITICAL,
        "release/1",
    )
    assert finding.evidence == {
        "by": "custodian",
        "fingerprint": first.fingerprint,
        "key": "release",
        "reason": "laptop lost",
        "since": "2025-06-01T00:00:00.000Z",
        "version": 1,
    }
    [compromised] = events(store, "key.compromised")
    assert compromised["details"]["since"] == "2025-06-01T00:00:00.000Z"
    assert [e["subject"] for e in events(store, "finding.opened")] == ["release/1"]


def test_a_destroyed_version_lies_nowhere(store: Store) -> None:
    make_key(store)
    move(store, 1, KeyState.RETIRED)
    assert [place.state for place in move(store, 1, KeyState.DESTROYED).locations] == ["missing"]


def test_a_key_pair_is_one_version_and_a_place_holds_one(store: Store) -> None:
    make_key(store)
    with pytest.raises(PublicKeyTakenError):
        rotate(store, "release")
    same_place = replace(another("second"), cka_id=another("release").cka_id)
    with pytest.raises(PublicKeyTakenError):
        store.keys.add_version(
            NewVersion("release", Algorithm.EC_P256), same_place, created_at=MOMENT, actor="c"
        )
    assert states(store) == {1: "active"}
    elsewhere = replace(same_place, location=Location("other", "serial"))
    store.keys.add_version(
        NewVersion("release", Algorithm.EC_P256), elsewhere, created_at=MOMENT, actor="c"
    )
    assert states(store) == {1: "retired", 2: "active"}


def test_a_clone_is_one_more_location_of_the_same_version(store: Store) -> None:
    make_key(store)
    version = store.keys.add_location("release", 1, Location("clone", "77"), actor="custodian")
    assert [place.token for place in version.locations] == ["token", "clone"]
    again = store.keys.add_location("release", 1, Location("clone", "77"), actor="custodian")
    assert again == version
    assert len(events(store, "key.location-added")) == 1
    assert store.keys.by_public_key(version.public_key) == version
    assert store.keys.by_public_key(b"another") is None
    move(store, 1, KeyState.SUSPENDED)
    key = store.keys.get("release")
    assert key is not None
    assert key.versions[0].locations == version.locations


# --- races with signatures


def test_a_signature_that_a_suspension_has_overtaken_is_not_recorded(store: Store) -> None:
    make_key(store)
    intent = an_intent()
    store.journal.intend([intent], owner="own", seconds=30)
    move(store, 1, KeyState.SUSPENDED)
    (late,) = store.journal.complete([an_outcome(intent)], owner="own", order_lease_seconds=30)
    assert isinstance(late.error, LeaseLostError)
    assert late.error.retryable
    assert store.journal.standing([intent.statement_hash]) == {}
    move(store, 1, KeyState.ACTIVE)
    (control,) = sign(store, an_intent(request_id="req_2"))
    assert control.signature is not None


def test_once_a_suspension_is_told_no_signature_follows_it(store: Store) -> None:
    """Signers run all the while; in the record, nothing comes after the suspension."""
    make_key(store)
    stop = threading.Event()
    begun = threading.Semaphore(0)
    made_after: list[bool] = []
    suspended = threading.Event()

    def signer(number: int) -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            told_before = suspended.is_set()
            intent = an_intent(a_statement((number, turn)), request_id=f"req_{number}_{turn}")
            (done,) = sign(store, intent, owner=f"own_{number}")
            begun.release()
            if done.signature is not None and told_before:
                made_after.append(True)

    threads = [threading.Thread(target=signer, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        assert begun.acquire(timeout=60)
    move(store, 1, KeyState.SUSPENDED)
    suspended.set()
    for _ in range(9):
        assert begun.acquire(timeout=60)
    stop.set()
    for thread in threads:
        thread.join()
    assert made_after == []
    recorded = [e["action"] for e in events(store, "signature.made", "key.suspended")]
    assert recorded.index("key.suspended") >= 6
    if not store._database.is_postgresql:  # there numbers are given before the commit
        assert recorded[-1] == "key.suspended"


def test_of_many_moves_at_one_moment_one_is_made(store: Store) -> None:
    make_key(store)
    gate = threading.Barrier(6)
    refused: list[ServiceError] = []

    def retire() -> None:
        gate.wait()
        try:
            move(store, 1, KeyState.RETIRED)
        except KeyMoveForbiddenError as error:
            refused.append(error)

    threads = [threading.Thread(target=retire) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
    assert len(events(store, "key.retired")) == 1


def test_of_many_rotations_at_one_moment_each_has_a_number_and_one_is_active(store: Store) -> None:
    make_key(store)
    gate = threading.Barrier(5)

    def work(number: int) -> None:
        gate.wait()
        rotate(store, f"v{number}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states(store)) == [1, 2, 3, 4, 5, 6]
    assert sorted(states(store).values()) == ["active"] + ["retired"] * 5
    assert states(store)[6] == "active"


# --- findings


def a_finding(subject: str = "token", code: str = "pin-refused", **more: Any) -> NewFinding:
    return NewFinding(code, Severity.HIGH, subject, {"tries": 1, **more})


def test_a_finding_is_opened_once_until_it_is_closed(store: Store) -> None:
    assert store.findings.open(a_finding()) is True
    assert store.findings.open(a_finding(tries=2)) is False
    assert store.findings.open(a_finding("other")) is True
    assert store.findings.close("pin-refused", "token") is True
    assert store.findings.close("pin-refused", "token") is False
    assert store.findings.open(a_finding(tries=3)) is True
    listed = store.findings.list(FindingFilter(), FIRST).items
    assert [(f.subject, f.evidence["tries"], f.closed_at is None) for f in listed] == [
        ("token", 3, True),
        ("other", 1, True),
        ("token", 1, False),
    ]
    assert [e["action"] for e in events(store)] == [
        "finding.opened",
        "finding.opened",
        "finding.closed",
        "finding.opened",
    ]


def test_findings_are_filtered_and_paged(store: Store) -> None:
    for number in range(3):
        store.findings.open(a_finding(f"s{number}"))
    store.findings.open(NewFinding("other-code", Severity.LOW, "s0"))
    store.findings.close("pin-refused", "s1")

    def subjects(**wanted: Any) -> list[str]:
        return [f.subject for f in store.findings.list(FindingFilter(**wanted), FIRST).items]

    assert subjects(is_open=True) == ["s0", "s2", "s0"]
    assert subjects(is_open=False) == ["s1"]
    assert subjects(code="other-code") == ["s0"]
    assert subjects(severity=Severity.HIGH) == ["s2", "s1", "s0"]
    assert subjects(severity=Severity.MEDIUM) == []
    page = store.findings.list(FindingFilter(), PageRequest(limit=3))
    rest = store.findings.list(FindingFilter(), PageRequest(limit=3, cursor=page.next))
    assert [len(page.items), len(rest.items), rest.next] == [3, 1, None]


def test_of_many_who_find_the_same_at_once_one_opens_it(store: Store) -> None:
    gate = threading.Barrier(6)
    opened: list[bool] = []

    def work() -> None:
        gate.wait()
        opened.append(store.findings.open(a_finding()))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [False] * 5 + [True]
