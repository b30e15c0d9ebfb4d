"""The quarantine's promises, on both databases."""

from __future__ import annotations

import threading

import orjson
from sqlalchemy import Connection, select

from service.ports.store import Quarantine
from service.store import Store
from service.store.quarantine import PATIENT_TIMES, SOON_MILLIS
from service.store.schema import audit_events

MODULE = "/usr/lib/vendor.so"


def modules(quarantine: Quarantine) -> list[str]:
    return [each.module for each in quarantine.standing()]


def held(quarantine: Quarantine) -> float:
    [only] = quarantine.standing()
    return only.held


def audited(store: Store) -> list[tuple[str, str]]:
    def run(connection: Connection) -> list[bytes]:
        return list(connection.execute(select(audit_events.c.body)).scalars())

    events = [orjson.loads(body) for body in store._database.read(run)]
    return [(event["action"], event["subject"]) for event in events]


def ago(store: Store, millis: int) -> None:
    """Let it be so long ago that the module came in and went out."""
    store._database.write(
        lambda c: (
            c.exec_driver_sql(
                f"UPDATE quarantines SET since = since - {millis}, lifted_at = lifted_at - {millis}"
            ).rowcount
        )
    )


def test_a_module_is_in_from_put_to_lift_and_both_are_audited(store: Store) -> None:
    quarantine = store.quarantine_of("here")
    assert modules(quarantine) == []
    quarantine.put(MODULE)
    quarantine.put(MODULE)
    assert modules(quarantine) == [MODULE]
    assert quarantine.lift(MODULE)
    assert not quarantine.lift(MODULE)
    assert modules(quarantine) == []
    assert audited(store) == [("hsm.quarantined", MODULE), ("hsm.quarantine-lifted", MODULE)]


def test_the_gauge_tells_of_every_module_that_ever_was_in(store: Store) -> None:
    quarantine = store.quarantine_of("here")

    def shown() -> dict[str, float]:
        return {reading.labels[0]: reading.value for reading in quarantine.readings()}

    assert shown() == {}
    quarantine.put(MODULE)
    assert shown() == {"vendor.so": 1.0}
    quarantine.lift(MODULE)
    assert shown() == {"vendor.so": 0.0}


def test_installations_on_one_database_do_not_see_each_others_modules(store: Store) -> None:
    here, there = store.quarantine_of("here"), store.quarantine_of("there")
    here.put(MODULE)
    assert modules(there) == []
    assert not there.lift(MODULE)
    there.put(MODULE)
    assert here.lift(MODULE)
    assert (modules(here), modules(there)) == ([], [MODULE])


def test_several_processes_that_notice_at_once_put_it_in_once(store: Store) -> None:
    quarantine = store.quarantine_of("here")
    threads = [threading.Thread(target=quarantine.put, args=(MODULE,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(audited(store)) == 1
    assert held(quarantine) == 0.0


def test_a_module_that_keeps_coming_back_is_held_for_longer_each_time(store: Store) -> None:
    quarantine = store.quarantine_of("here")
    seen = []
    for _ in range(PATIENT_TIMES + 3):
        quarantine.put(MODULE)
        seen.append(held(quarantine))
        quarantine.lift(MODULE)
    assert seen[:PATIENT_TIMES] == [0.0] * PATIENT_TIMES
    longer = seen[PATIENT_TIMES:]
    assert longer == sorted(longer)
    assert 1.0 < longer[0] <= 2.0
    assert 7.0 < longer[2] <= 8.0
    quarantine.put(MODULE)
    ago(store, 1000)
    assert held(quarantine) < 16.0
    ago(store, 60_000)
    assert held(quarantine) == 0.0


def test_one_that_stayed_out_for_a_while_starts_anew(store: Store) -> None:
    quarantine = store.quarantine_of("here")
    for _ in range(PATIENT_TIMES + 3):
        quarantine.put(MODULE)
        quarantine.lift(MODULE)
    ago(store, SOON_MILLIS + 1000)
    quarantine.put(MODULE)
    assert held(quarantine) == 0.0
