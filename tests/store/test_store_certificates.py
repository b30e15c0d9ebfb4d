"""Chains of key versions: one in force, the others kept, and no subject that two versions share."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy.exc import DBAPIError

from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.errors import (
    CertificateSubjectTakenError,
    KeyNotFoundError,
    KeyNotUsableError,
    ServiceError,
)
from service.domain.keys import OWN_CA, Purpose
from service.domain.lifecycle import NewVersion
from service.domain.pages import PageRequest
from service.domain.subjects import Subject
from service.domain.x509_names import subject_of
from service.store import Store
from tests.support.records import MOMENT, a_key, make_key

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def a_chain(common_name: str, *, der: bytes = b"leaf", **more: str) -> CertificateChain:
    subject = subject_of({"C": "CH", "ST": "Bern", "O": "Example", "CN": common_name, **more})
    end = BEGIN + timedelta(days=365)
    return CertificateChain(ChainOrigin.IMPORTED, (der, b"\0root"), subject, BEGIN, end)


def record(store: Store, name: str, chain: CertificateChain) -> None:
    store.certificates.record(name, 1, chain, actor="custodian")


def events(store: Store) -> list[dict[str, object]]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    return [event for row in rows if (event := orjson.loads(row))["action"] != "key.created"]


def test_a_chain_is_read_back_with_its_version(store: Store) -> None:
    made = make_key(store)
    assert made.versions[0].chain is None
    chain = a_chain("release 1")
    version = store.certificates.record("release", 1, chain, actor="custodian")
    assert version.chain == chain
    key = store.keys.get("release")
    assert key is not None
    assert key.versions == (version,)
    assert store.keys.list(None, PageRequest()).items[0] == key
    assert list(store.keys.trusted_by_purpose(Purpose.IMAGE)) == [version]
    assert list(store.certificates.in_use()) == [version]
    [event] = events(store)
    assert (event["action"], event["actor"], event["subject"]) == (
        "certificate.recorded",
        "custodian",
        "release/1",
    )
    assert event["details"] == {
        "not_after": "2027-01-01T00:00:00.000Z",
        "origin": "imported",
        "subject": "CN=release 1,O=Example,ST=Bern,C=CH",
        "thumbprints": list(chain.thumbprints),
    }


def test_the_key_of_our_own_ca_is_listed_where_it_is_asked_for(store: Store) -> None:
    make_key(store)
    ours = make_key(store, OWN_CA, Purpose.CA)
    assert [key.name for key in store.keys.list(None, PageRequest()).items] == ["release"]
    assert store.keys.list(Purpose.CA, PageRequest()).items == (ours,)


def test_a_later_chain_takes_the_place_of_the_one_before(store: Store) -> None:
    make_key(store)
    for der in (b"first", b"second"):
        record(store, "release", a_chain("release 1", der=der))
    key = store.keys.get("release")
    assert key is not None
    assert key.versions[0].chain == a_chain("release 1", der=b"second")


def test_a_subject_that_another_version_has_or_had_is_refused(store: Store) -> None:
    make_key(store)
    make_key(store, "other", Purpose.ATTESTATION)
    record(store, "release", a_chain("old name"))
    record(store, "release", a_chain("new name"))
    for taken in (
        a_chain("old name"),
        a_chain("new name"),
        a_chain("NEW  name"),
        a_chain("new name", OU="team"),  # whoever trusts the first trusts it too
    ):
        with pytest.raises(CertificateSubjectTakenError, match="release version 1"):
            store.certificates.check_subject("other", 1, taken.subject)
        with pytest.raises(CertificateSubjectTakenError):
            record(store, "other", taken)
    broad = Subject(tuple(pair for pair in a_chain("x").subject.attributes if pair[0] != "CN"))
    with pytest.raises(CertificateSubjectTakenError):
        store.certificates.check_subject("other", 1, broad)
    assert len(events(store)) == 2
    store.certificates.check_subject("release", 1, a_chain("old name").subject)
    record(store, "other", a_chain("another name"))


def test_what_is_over_or_was_never_there_gets_no_chain(store: Store) -> None:
    make_key(store)
    with pytest.raises(KeyNotFoundError):
        record(store, "nobody", a_chain("a"))
    with pytest.raises(KeyNotFoundError):
        store.certificates.record("release", 2, a_chain("a"), actor="custodian")
    record(store, "release", a_chain("a"))
    for state in ("retired", "compromised", "destroyed"):
        change = f"UPDATE key_versions SET state = '{state}'"
        store._database.write(lambda c, change=change: c.exec_driver_sql(change).rowcount)
        with pytest.raises(KeyNotUsableError, match=state):
            record(store, "release", a_chain("a"))
        assert list(store.certificates.in_use()) == []
    for state in ("staged", "active", "suspended"):
        change = f"UPDATE key_versions SET state = '{state}'"
        store._database.write(lambda c, change=change: c.exec_driver_sql(change).rowcount)
        record(store, "release", a_chain("a"))
        assert len(store.certificates.in_use()) == 1


def test_a_version_can_be_made_with_its_chain_or_not_at_all(store: Store) -> None:
    make_key(store)
    record(store, "release", a_chain("release 1"))
    _, generated = a_key("second")

    def add(chain: CertificateChain) -> None:
        key = store.keys.get("release")
        assert key is not None
        new = NewVersion("release", key.algorithm, chain=chain)
        store.keys.add_version(new, generated, created_at=MOMENT, actor="custodian")

    with pytest.raises(CertificateSubjectTakenError):
        add(a_chain("release 1"))
    key = store.keys.get("release")
    assert key is not None
    assert [v.state.value for v in key.versions] == ["active"]
    add(a_chain("release 2"))
    key = store.keys.get("release")
    assert key is not None
    assert [v.state.value for v in key.versions] == ["retired", "active"]
    assert [v.chain for v in key.versions] == [a_chain("release 1"), a_chain("release 2")]


def test_of_two_versions_that_take_one_subject_at_a_moment_one_is_refused(store: Store) -> None:
    names = [f"key{n}" for n in range(4)]
    for name in names:
        make_key(store, name)
    gate = threading.Barrier(len(names))
    refused: list[ServiceError] = []

    def take(name: str) -> None:
        gate.wait()
        try:
            record(store, name, a_chain("the same"))
        except ServiceError as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in refused] == [CertificateSubjectTakenError] * 3
    assert len(store.certificates.in_use()) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM certificate_chains",
        "UPDATE certificate_chains SET subject = '[]'",
        "UPDATE certificate_chains SET certificates = '[]'",
        (
            "INSERT INTO certificate_chains (key, version, in_force, origin, subject, certificates, "
            "not_before, not_after, recorded_at) SELECT key, version, in_force, origin, subject, "
            "certificates, not_before, not_after, recorded_at FROM certificate_chains"
        ),
    ],
)
def test_what_was_in_force_stays_on_record_and_only_one_is(store: Store, statement: str) -> None:
    make_key(store)
    record(store, "release", a_chain("release 1"))
    with pytest.raises(DBAPIError):
        store._database.write(lambda c: c.exec_driver_sql(statement).rowcount)
    replace = "UPDATE certificate_chains SET in_force = false"
    assert store._database.write(lambda c: c.exec_driver_sql(replace).rowcount) == 1
