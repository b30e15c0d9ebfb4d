"""Keys, credentials, leases, Idempotency-Keys, PIN latches: their promises on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from service.domain.audit import AuditEvent
from service.domain.callers import Role
from service.domain.errors import (
    AdminExistsError,
    CredentialExistsError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    KeyExistsError,
    LeaseLostError,
    PublicKeyTakenError,
    RequestInProgressError,
    ServiceError,
)
from service.domain.keys import KeyState, Purpose
from service.domain.pages import PageRequest
from service.ports.store import IdempotentRequest
from service.store import Store
from tests.support.records import MOMENT, a_credential, a_key, make_key

EXPIRED = -1.0
FIRST = PageRequest()


def actions(store: Store) -> list[str]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    return [orjson.loads(row)["action"] for row in rows]


# --- keys


def test_a_key_is_read_back_as_it_was_made(store: Store) -> None:
    key, generated = a_key()
    made = store.keys.create(key, generated, actor="custodian")
    assert store.keys.get("release") == made
    (version,) = made.versions
    assert (version.version, version.state) == (1, KeyState.ACTIVE)
    assert (version.cka_id, version.public_key) == (generated.cka_id, generated.public_key)
    assert version.locations == (generated.location,)
    assert version.attributes == generated.attributes
    assert version.trusted
    assert actions(store) == ["key.created"]
    assert store.keys.get("other") is None


def test_a_name_or_a_public_key_that_is_taken_is_refused_without_a_trace(store: Store) -> None:
    made = make_key(store)
    key, generated = a_key("another")
    same_name, _ = a_key()
    with pytest.raises(KeyExistsError):
        store.keys.create(same_name, generated, actor="custodian")
    _, same_public_key = a_key()
    with pytest.raises(PublicKeyTakenError):
        store.keys.create(key, same_public_key, actor="custodian")
    assert store.keys.list(None, FIRST).items == (made,)
    assert actions(store) == ["key.created"]
    store.keys.create(key, generated, actor="custodian")


def test_keys_are_listed_by_name_and_purpose(store: Store) -> None:
    for name, purpose in [("b", Purpose.IMAGE), ("c", Purpose.LOG), ("a", Purpose.IMAGE)]:
        make_key(store, name, purpose)
    assert [k.name for k in store.keys.list(None, FIRST).items] == ["a", "b", "c"]
    assert [k.name for k in store.keys.list(Purpose.IMAGE, FIRST).items] == ["a", "b"]
    page = store.keys.list(None, PageRequest(limit=2))
    rest = store.keys.list(None, PageRequest(limit=2, cursor=page.next))
    assert [k.name for k in page.items + rest.items] == ["a", "b", "c"]
    assert rest.next is None
    with pytest.raises(InvalidRequestError):
        store.keys.list(None, PageRequest(cursor="AA"))


def test_versions_are_told_by_purpose_whatever_their_state(store: Store) -> None:
    make_key(store, "a")
    make_key(store, "b", Purpose.LOG)
    retire = "UPDATE key_versions SET state = 'retired', compromised_since = 5"
    store._database.write(lambda c: c.exec_driver_sql(retire).rowcount)
    (version,) = store.keys.trusted_by_purpose(Purpose.IMAGE)
    assert (version.key, version.state) == ("a", KeyState.RETIRED)
    assert version.compromised_since == datetime.fromtimestamp(0.005, UTC)
    assert not store.keys.trusted_by_purpose(Purpose.TIMESTAMP)


# --- credentials


def test_a_credential_is_found_by_its_hash_only(store: Store) -> None:
    credential = a_credential(expires_at=MOMENT + timedelta(days=1))
    store.credentials.create(credential, actor="admin", only_if_no_admin=False)
    assert store.credentials.by_token_hash(credential.token_hash) == credential
    assert store.credentials.by_token_hash("0" * 64) is None


def test_a_name_of_a_credential_is_given_once(store: Store) -> None:
    store.credentials.create(a_credential(), actor="admin", only_if_no_admin=False)
    store.credentials.revoke("builder", actor="admin")
    with pytest.raises(CredentialExistsError):
        store.credentials.create(a_credential(), actor="admin", only_if_no_admin=False)


def test_a_revoked_credential_says_when_and_only_once(store: Store) -> None:
    credential = a_credential()
    store.credentials.create(credential, actor="admin", only_if_no_admin=False)
    revoked = store.credentials.revoke("builder", actor="admin")
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert not revoked.usable(MOMENT)
    assert store.credentials.revoke("builder", actor="admin") == revoked
    assert store.credentials.by_token_hash(credential.token_hash) == revoked
    assert store.credentials.revoke("nobody", actor="admin") is None
    assert actions(store) == ["credential.created", "credential.revoked"]


def test_the_first_admin_is_made_once(store: Store) -> None:
    def create(name: str) -> None:
        admin = a_credential(name, Role.ADMIN)
        store.credentials.create(admin, actor="local", only_if_no_admin=True)

    store.credentials.create(a_credential(), actor="local", only_if_no_admin=True)
    create("first")
    with pytest.raises(AdminExistsError):
        create("second")
    store.credentials.revoke("first", actor="first")
    create("third")


def test_an_expired_admin_does_not_count(store: Store) -> None:
    expired = a_credential("first", Role.ADMIN, expires_at=MOMENT - timedelta(days=1000))
    store.credentials.create(expired, actor="local", only_if_no_admin=True)
    admin = a_credential("second", Role.ADMIN)
    store.credentials.create(admin, actor="local", only_if_no_admin=True)


def test_of_two_first_admins_at_one_moment_one_is_refused(store: Store) -> None:
    gate = threading.Barrier(4)
    refused: list[ServiceError] = []

    def create(number: int) -> None:
        admin = a_credential(f"admin-{number}", Role.ADMIN)
        gate.wait()
        try:
            store.credentials.create(admin, actor="local", only_if_no_admin=True)
        except AdminExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert len(store.credentials.list(FIRST).items) == 1


def test_credentials_are_listed_page_by_page(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.credentials.create(a_credential(name), actor="admin", only_if_no_admin=False)
    page = store.credentials.list(PageRequest(limit=2))
    rest = store.credentials.list(PageRequest(limit=2, cursor=page.next))
    assert [c.caller.name for c in page.items + rest.items] == ["a", "b", "c"]


# --- audit events


def test_audit_events_are_exact_sorted_json(store: Store) -> None:
    store.audit.append([])
    store.audit.append(
        [AuditEvent("signature.denied", "builder", "app", {"b": [1, None], "a": "\u00e4"})]
    )
    query = "SELECT at, body FROM audit_events"
    (row,) = store._database.read(lambda c: c.exec_driver_sql(query).all())
    moment = datetime.fromtimestamp(row.at / 1000, UTC).isoformat(timespec="milliseconds")
    expected = (
        '{"action":"signature.denied","actor":"builder","at":"'
        + moment.replace("+00:00", "Z")
        + '","details":{"a":"\u00e4","b":[1,null]},"subject":"app"}'
    )
    assert row.body == expected.encode()


# --- leases


def test_a_lease_has_one_holder_until_it_is_released(store: Store) -> None:
    lease = store.leases.acquire("work", owner="a", seconds=30)
    assert lease is not None
    assert store.leases.acquire("work", owner="b", seconds=30) is None
    assert store.leases.acquire("other", owner="b", seconds=30) is not None
    store.leases.renew(lease, seconds=30)
    store.leases.release(lease)
    taken = store.leases.acquire("work", owner="b", seconds=30)
    assert taken is not None
    assert taken.fencing > lease.fencing
    with pytest.raises(LeaseLostError):
        store.leases.renew(lease, seconds=30)
    store.leases.release(lease)  # lost: does nothing
    assert store.leases.acquire("work", owner="c", seconds=30) is None


def test_a_lease_whose_holder_died_is_taken_over(store: Store) -> None:
    lease = store.leases.acquire("work", owner="a", seconds=EXPIRED)
    assert lease is not None
    with pytest.raises(LeaseLostError):
        store.leases.renew(lease, seconds=30)
    taken = store.leases.acquire("work", owner="b", seconds=30)
    assert taken is not None
    assert taken.fencing == lease.fencing + 1


def test_the_same_owner_may_take_its_lease_again(store: Store) -> None:
    first = store.leases.acquire("work", owner="a", seconds=30)
    second = store.leases.acquire("work", owner="a", seconds=30)
    assert first is not None
    assert second is not None
    assert second.fencing > first.fencing
    with pytest.raises(LeaseLostError):
        store.leases.renew(first, seconds=30)


def test_of_many_who_ask_at_once_one_gets_the_lease(store: Store) -> None:
    gate = threading.Barrier(8)
    got: list[object] = []

    def acquire(number: int) -> None:
        gate.wait()
        got.append(store.leases.acquire("work", owner=f"own_{number}", seconds=30))

    threads = [threading.Thread(target=acquire, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([lease for lease in got if lease is not None]) == 1


# --- Idempotency-Keys


def begin(
    store: Store,
    *,
    owner: str = "own_1",
    body: str = "body",
    credential: str = "cred",
    seconds: float = 30,
) -> IdempotentRequest:
    return store.idempotency.begin(
        credential_id=credential, key="key", body_hash=body, owner=owner, seconds=seconds
    )


def test_results_are_kept_for_the_same_body_of_the_same_credential(store: Store) -> None:
    first = begin(store)
    assert first.results is None
    store.idempotency.finish(first, b"results")
    again = begin(store, owner="own_2")
    assert (again.id, again.results) == (first.id, b"results")
    assert again.fencing > first.fencing
    store.idempotency.release(again)
    with pytest.raises(IdempotencyKeyReusedError):
        begin(store, body="another")
    other = begin(store, credential="another", body="another")
    assert other.id != first.id
    # A replay that was released keeps what the first run had.
    assert begin(store, owner="own_3").results == b"results"


def test_a_key_in_use_is_refused_for_a_while(store: Store) -> None:
    request = begin(store)
    with pytest.raises(RequestInProgressError) as caught:
        begin(store, owner="own_2")
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 30
    with pytest.raises(IdempotencyKeyReusedError):
        begin(store, owner="own_2", body="another")
    store.idempotency.renew(request, seconds=30)


def test_a_key_of_a_dead_run_keeps_its_id_and_its_body(store: Store) -> None:
    dead = begin(store, seconds=EXPIRED)
    with pytest.raises(IdempotencyKeyReusedError):
        begin(store, body="another")
    taken = begin(store, owner="own_2")
    assert taken.id == dead.id
    for late in (
        lambda: store.idempotency.renew(dead, seconds=30),
        lambda: store.idempotency.finish(dead, b"late"),
    ):
        with pytest.raises(LeaseLostError):
            late()
    store.idempotency.release(dead)
    with pytest.raises(RequestInProgressError):
        begin(store, owner="own_3")


def test_a_released_key_keeps_its_id_and_promises_nothing(store: Store) -> None:
    first = begin(store)
    store.idempotency.release(first)
    again = begin(store)
    assert (again.id, again.results) == (first.id, None)
    store.idempotency.release(again)
    other = begin(store, body="another")
    assert other.id != first.id
    with pytest.raises(IdempotencyKeyReusedError):
        begin(store)


def test_a_key_is_forgotten_after_its_seven_days(store: Store) -> None:
    first = begin(store)
    store.idempotency.finish(first, b"results")
    aging = "UPDATE idempotency SET expires_at = expires_at - 7 * 24 * 3600 * 1000 - 1000"
    store._database.write(lambda c: c.exec_driver_sql(aging).rowcount)
    fresh = begin(store, body="another")
    assert fresh.id != first.id
    assert fresh.results is None


def test_old_keys_are_purged_by_new_ones(store: Store) -> None:
    store.idempotency.finish(begin(store), b"results")
    aging = "UPDATE idempotency SET expires_at = 0"
    store._database.write(lambda c: c.exec_driver_sql(aging).rowcount)
    begin(store, credential="another")
    query = "SELECT credential_id FROM idempotency"
    left = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    assert left == ["another"]


def test_of_many_who_send_one_key_at_once_one_runs(store: Store) -> None:
    gate = threading.Barrier(8)
    held: list[IdempotentRequest] = []

    def run(number: int) -> None:
        gate.wait()
        try:
            held.append(begin(store, owner=f"own_{number}"))
        except RequestInProgressError:
            return

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1


# --- PIN latches


def test_a_refused_pin_is_latched_until_it_is_cleared(store: Store) -> None:
    store.pins.latch("token", "fingerprint")
    store.pins.latch("token", "fingerprint")
    assert store.pins.is_latched("token", "fingerprint")
    assert not store.pins.is_latched("token", "another")
    assert not store.pins.is_latched("another", "fingerprint")
    assert store.pins.clear("token", actor="custodian")
    assert not store.pins.is_latched("token", "fingerprint")
    assert not store.pins.clear("token", actor="custodian")
    assert actions(store) == ["pin.cleared"]
