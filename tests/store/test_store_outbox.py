"""The outbox's promises, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from service.domain.errors import LeaseLostError, NotFoundError
from service.domain.outbox import AttachmentStatus, Order, OrderKind, OrderState
from service.domain.pages import PageRequest
from service.domain.signing import AttachmentState, AttachmentWish, Signature
from service.ports.store import FindingFilter, SignatureFilter
from service.store import Store
from tests.support.records import (
    REPOSITORY,
    a_digest,
    a_statement,
    a_subject,
    an_intent,
    make_key,
    sign,
)

EXPIRED = -1.0
ANY = SignatureFilter()
FIRST = PageRequest()
MANIFEST = a_digest("manifest")
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


def ordered(
    store: Store, digest: object = 1, *, owner: str = "own_1", request_id: str = "req_1"
) -> tuple[Signature, Order]:
    """A signature, and its order under the lease of `owner`."""
    (done,) = sign(
        store, an_intent(a_statement(digest), attach=True, request_id=request_id), owner=owner
    )
    assert done.signature is not None
    assert done.order is not None
    return done.signature, done.order


def attach(
    store: Store,
    order: Order,
    *signatures: Signature,
    look_again_seconds: float | None = None,
    looks: int = 0,
) -> bool:
    return store.outbox.attached(
        order,
        {signature.id: MANIFEST for signature in signatures},
        media_type=MEDIA_TYPE,
        seen=str(MANIFEST),
        look_again_seconds=look_again_seconds,
        looks=looks,
    )


def wish(signature: Signature, kind: OrderKind = OrderKind.ATTACH) -> AttachmentWish:
    return AttachmentWish(signature.id, kind, a_subject(signature.statement.digest))


def state_of(store: Store, signature: Signature) -> AttachmentState:
    return store.outbox.attachment_states([signature.id])[signature.id].attachment.state


def only_attachment(store: Store) -> AttachmentStatus:
    (status,) = store.outbox.list_attachments(None, ANY, FIRST).items
    return status


def claim(store: Store, owner: str = "worker", seconds: float = 30, limit: int = 10) -> list[Order]:
    return list(store.outbox.claim(owner=owner, seconds=seconds, limit=limit))


def expire(store: Store) -> None:
    """Let every order's lease run out, as if its holder had died a while ago."""
    store._database.write(lambda c: c.exec_driver_sql("UPDATE outbox SET lease_until = 0").rowcount)


def test_an_order_comes_with_the_lease_of_whoever_completed(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    assert (order.repository, order.digest) == (REPOSITORY, a_digest(1))
    assert (order.owner, order.fencing, order.generation) == ("own_1", 1, 1)
    assert signature.attachment.state is AttachmentState.PENDING
    assert store.outbox.to_attach(order) == [signature]
    assert claim(store) == []


def test_a_signature_that_is_not_to_be_attached_has_no_order(store: Store) -> None:
    make_key(store)
    (done,) = sign(store, an_intent(attach=False))
    assert done.order is None
    assert store.outbox.list_orders(None, FIRST).items == ()
    assert store.outbox.list_attachments(None, ANY, FIRST).items == ()


def test_several_signatures_of_one_subject_share_one_order(store: Store) -> None:
    make_key(store)
    make_key(store, "other")
    answers = sign(
        store,
        an_intent(a_statement(1), attach=True),
        an_intent(a_statement(1, key="other"), item=1, attach=True),
    )
    assert answers[0].order == answers[1].order
    (order,) = {done.order for done in answers if done.order}
    wanted = {done.signature.id for done in answers if done.signature}
    assert {signature.id for signature in store.outbox.to_attach(order)} == wanted


def test_each_list_of_a_subject_has_an_order_of_its_own(store: Store) -> None:
    make_key(store)
    bundle = replace(a_statement(1), format="bundle")
    answers = sign(
        store,
        an_intent(a_statement(1), attach=True),
        an_intent(bundle, attach=True, kind=OrderKind.REFER),
    )
    layers, referrers = (done.order for done in answers)
    assert layers is not None
    assert referrers is not None
    assert (layers.kind, referrers.kind) == (OrderKind.ATTACH, OrderKind.REFER)
    assert referrers.subject == a_subject(a_digest(1))
    assert [store.outbox.to_attach(order) for order in (layers, referrers)] == [
        [done.signature] for done in answers
    ]
    store.outbox.failed(layers, error_code="x", error_detail="", retry_seconds=None)
    states = [state_of(store, done.signature) for done in answers if done.signature]
    assert states == [AttachmentState.FAILED, AttachmentState.PENDING]


def test_each_signature_may_lie_in_a_manifest_of_its_own(store: Store) -> None:
    make_key(store)
    make_key(store, "other")
    answers = sign(
        store,
        an_intent(a_statement(1), attach=True),
        an_intent(a_statement(1, key="other"), item=1, attach=True),
    )
    made = [done.signature for done in answers if done.signature]
    (order,) = {done.order for done in answers if done.order}
    holders = {signature.id: a_digest(signature.id) for signature in made}
    store.outbox.attached(
        order, holders, media_type=MEDIA_TYPE, seen="both", look_again_seconds=None, looks=0
    )
    states = store.outbox.attachment_states(list(holders))
    assert {i: s.attachment.digest for i, s in states.items()} == holders


def test_an_order_of_a_dead_holder_is_claimed_and_the_late_one_fenced_off(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    expire(store)
    (claimed,) = claim(store)
    assert claimed.id == order.id
    assert claimed.fencing == order.fencing + 1
    with pytest.raises(LeaseLostError):
        attach(store, order, signature)
    with pytest.raises(LeaseLostError):
        store.outbox.failed(order, error_code="x", error_detail="", retry_seconds=1)
    assert state_of(store, signature) is AttachmentState.PENDING
    assert attach(store, claimed, signature)
    assert state_of(store, signature) is AttachmentState.ATTACHED


def test_a_lease_that_ran_out_but_was_taken_by_nobody_is_still_good(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    expire(store)
    assert attach(store, order, signature)


def test_an_order_that_was_given_back_cannot_be_used_again(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    assert attach(store, order, signature, look_again_seconds=60)
    with pytest.raises(LeaseLostError):
        attach(store, order, signature)


def test_an_attachment_is_looked_at_again_and_then_done(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    assert attach(store, order, signature, look_again_seconds=0)
    (look,) = claim(store)
    assert (look.looks, look.seen) == (0, str(MANIFEST))
    assert attach(store, look, signature, look_again_seconds=3600, looks=1)
    assert claim(store) == []  # not due
    (status,) = store.outbox.list_orders(OrderState.WAITING, FIRST).items
    assert status.attempts == 0
    expected = store.outbox.attachment_states([signature.id])[signature.id].attachment
    assert (expected.digest, expected.media_type) == (MANIFEST, MEDIA_TYPE)


def test_an_order_without_another_look_is_done(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    assert attach(store, order, signature)
    assert claim(store) == []
    (status,) = store.outbox.list_orders(OrderState.DONE, FIRST).items
    assert status.id == order.id
    assert only_attachment(store).next_attempt_at is None


def test_what_is_asked_for_during_a_delivery_makes_the_order_due_again(store: Store) -> None:
    make_key(store)
    make_key(store, "other")
    first, order = ordered(store)
    (second,) = sign(
        store,
        an_intent(a_statement(1, key="other"), request_id="req_2", attach=True),
        owner="own_2",
    )
    assert second.order is None  # somebody is writing there
    assert not attach(store, order, first)
    assert second.signature is not None
    assert state_of(store, first) is AttachmentState.ATTACHED
    assert state_of(store, second.signature) is AttachmentState.PENDING
    (again,) = claim(store)
    assert again.generation == order.generation + 1
    assert [s.id for s in store.outbox.to_attach(again)] == [first.id, second.signature.id]
    assert attach(store, again, first, second.signature)


def test_a_failed_delivery_waits_for_its_time(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    store.outbox.failed(
        order, error_code="registry-unavailable", error_detail="x" * 5000, retry_seconds=3600
    )
    assert claim(store) == []
    status = only_attachment(store)
    assert (status.state, status.attempts) == ("pending", 1)
    assert status.error_code == "registry-unavailable"
    assert status.error_detail == "x" * 1000
    assert status.next_attempt_at is not None
    store.outbox.retry(status.id)
    (again,) = claim(store)
    assert again.attempts == 0
    assert attach(store, again, signature)
    assert only_attachment(store).error_code is None


def test_a_parked_order_is_failed_until_it_is_retried(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    store.outbox.failed(order, error_code="registry-denied", error_detail="", retry_seconds=None)
    assert claim(store) == []
    assert only_attachment(store).state == "failed"
    assert only_attachment(store).next_attempt_at is None
    (parked,) = store.outbox.list_orders(OrderState.PARKED, FIRST).items
    assert (parked.error_code, parked.attempts) == ("registry-denied", 1)
    assert store.outbox.retry_all_parked() == 1
    assert store.outbox.retry_all_parked() == 0
    assert state_of(store, signature) is AttachmentState.PENDING
    (again,) = claim(store)
    assert again.attempts == 0


def test_what_was_asked_for_during_a_delivery_is_not_parked_with_it(store: Store) -> None:
    make_key(store)
    signature, order = ordered(store)
    assert store.outbox.order_attachments([wish(signature)], owner="own_2", seconds=30) == []
    store.outbox.failed(order, error_code="registry-denied", error_detail="", retry_seconds=None)
    assert state_of(store, signature) is AttachmentState.PENDING
    (again,) = claim(store)
    store.outbox.failed(again, error_code="registry-denied", error_detail="", retry_seconds=None)
    assert state_of(store, signature) is AttachmentState.FAILED


def test_a_new_signature_revives_a_parked_order(store: Store) -> None:
    make_key(store)
    make_key(store, "other")
    first, order = ordered(store)
    store.outbox.failed(order, error_code="registry-denied", error_detail="", retry_seconds=None)
    (done,) = sign(
        store,
        an_intent(a_statement(1, key="other"), request_id="req_2", attach=True),
        owner="own_2",
    )
    assert done.order is not None
    assert done.order.fencing == order.fencing + 1
    assert done.order.attempts == 0
    assert state_of(store, first) is AttachmentState.PENDING


def test_an_attachment_can_be_ordered_again_and_for_the_first_time(store: Store) -> None:
    make_key(store)
    done, order = ordered(store)
    attach(store, order, done)
    (answer,) = sign(store, an_intent(a_statement(2), request_id="req_2"), owner="own_2")
    bare = answer.signature
    assert bare is not None
    orders = store.outbox.order_attachments([wish(done), wish(bare)], owner="own_3", seconds=30)
    assert {o.digest for o in orders} == {a_digest(1), a_digest(2)}
    assert state_of(store, done) is AttachmentState.PENDING
    assert state_of(store, bare) is AttachmentState.PENDING
    # The same owner does not get it twice either: it is delivering already.
    assert store.outbox.order_attachments([wish(done)], owner="own_3", seconds=30) == []
    assert store.outbox.order_attachments([], owner="own_3", seconds=30) == ()


def test_a_replaced_signature_is_neither_ordered_nor_attached(store: Store) -> None:
    make_key(store)
    old, order = ordered(store)
    (answer,) = sign(store, an_intent(attach=True, request_id="req_2"), owner="own_2", force=True)
    assert answer.signature is not None
    assert [s.id for s in store.outbox.to_attach(order)] == [answer.signature.id]
    expire(store)
    assert store.outbox.order_attachments([wish(old)], owner="own_3", seconds=30) == ()


def test_the_loser_of_a_race_orders_what_the_winner_did_not(store: Store) -> None:
    make_key(store)
    (winner,) = sign(store, an_intent(attach=False))
    (loser,) = sign(store, an_intent(attach=True, request_id="req_2"), owner="own_2")
    assert winner.signature is not None
    assert loser.signature is not None
    assert loser.signature.id == winner.signature.id
    assert loser.order is not None
    assert state_of(store, winner.signature) is AttachmentState.PENDING


def test_attachments_are_found_by_state_and_filter(store: Store) -> None:
    make_key(store)
    one, order = ordered(store, 1)
    two, _ = ordered(store, 2, request_id="req_2", owner="own_2")
    attach(store, order, one)
    listed = store.outbox.list_attachments("attached", ANY, FIRST).items
    assert [status.signature_id for status in listed] == [one.id]
    assert (listed[0].manifest_digest, listed[0].format) == (MANIFEST, "cosign")
    wanted = SignatureFilter(digest=a_digest(2))
    (status,) = store.outbox.list_attachments(None, wanted, FIRST).items
    assert status.signature_id == two.id
    assert store.outbox.get_attachment(status.id) == status
    assert store.outbox.get_attachment("att_none") is None
    with pytest.raises(NotFoundError):
        store.outbox.retry("att_none")


def test_lists_of_orders_and_attachments_go_on_where_they_stopped(store: Store) -> None:
    make_key(store)
    sign(store, *(an_intent(a_statement(i), item=i, attach=True) for i in range(5)))
    orders = store.outbox.list_orders(None, PageRequest(limit=3))
    rest = store.outbox.list_orders(None, PageRequest(limit=3, cursor=orders.next))
    assert len({o.id for o in orders.items + rest.items}) == 5
    assert rest.next is None
    some = store.outbox.list_attachments(None, ANY, PageRequest(limit=3))
    more = store.outbox.list_attachments(None, ANY, PageRequest(limit=3, cursor=some.next))
    assert len({a.id for a in some.items + more.items}) == 5
    assert more.next is None


def test_claims_take_the_longest_due_first_and_no_more_than_asked(store: Store) -> None:
    make_key(store)
    sign(store, *(an_intent(a_statement(i), item=i, attach=True) for i in range(5)))
    expire(store)
    due = "UPDATE outbox SET due_at = due_at - id"
    store._database.write(lambda c: c.exec_driver_sql(due).rowcount)
    ids = [order.id for order in claim(store, limit=2)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 2
    assert len(claim(store, limit=10)) == 3


def test_claimers_never_share_an_order(store: Store) -> None:
    make_key(store)
    sign(store, *(an_intent(a_statement(i), item=i, attach=True) for i in range(60)))
    expire(store)
    gate = threading.Barrier(6)
    claimed: list[Sequence[Order]] = [()] * 6

    def work(number: int) -> None:
        gate.wait()
        found: list[Order] = []
        while orders := claim(store, owner=f"worker_{number}", limit=4):
            found += orders
        claimed[number] = found

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [order.id for orders in claimed for order in orders]
    assert len(ids) == len(set(ids)) == 60


def test_the_gauge_tells_what_waits_and_what_was_parked(store: Store) -> None:
    make_key(store)
    assert gauge(store) == {"waiting": 0, "parked": 0}
    for number in (1, 2, 3):
        ordered(store, number)
    expire(store)
    parked, done, _ = claim(store)
    store.outbox.failed(parked, error_code="x", error_detail="y", retry_seconds=None)
    attach(store, done)
    assert gauge(store) == {"waiting": 1, "parked": 1}


def gauge(store: Store) -> dict[str, float]:
    return {reading.labels[0]: reading.value for reading in store.outbox_gauge.readings()}


def open_findings(store: Store) -> list[tuple[str, str]]:
    found = store.findings.list(FindingFilter(is_open=True), FIRST).items
    return [(one.code, one.subject) for one in found]


def test_a_parked_order_is_a_finding_until_it_is_delivered(store: Store) -> None:
    make_key(store)
    made, order = ordered(store)
    store.outbox.failed(order, error_code="x", error_detail="no", retry_seconds=0.0)
    assert open_findings(store) == []
    [again] = claim(store)
    store.outbox.failed(again, error_code="x", error_detail="no", retry_seconds=None)
    subject = f"{REPOSITORY}@{made.statement.digest} attach"
    assert open_findings(store) == [("order-parked", subject)]
    assert store.outbox.retry_all_parked() == 1
    assert open_findings(store) == [("order-parked", subject)]
    [retried] = claim(store)
    attach(store, retried, made)
    assert open_findings(store) == []


def test_a_postponed_order_waits_and_was_not_tried(store: Store) -> None:
    make_key(store)
    ordered(store)
    expire(store)
    [order] = claim(store)
    store.outbox.postpone(order, seconds=60)
    assert claim(store) == []
    [status] = store.outbox.list_orders(None, FIRST).items
    assert (status.state, status.attempts, status.error_code) == (OrderState.WAITING, 0, None)
    with pytest.raises(LeaseLostError):
        store.outbox.postpone(order, seconds=0)


def test_what_is_asked_for_while_an_order_is_postponed_is_due_at_once(store: Store) -> None:
    make_key(store)
    made, _ = ordered(store)
    expire(store)
    [order] = claim(store)
    store.outbox.order_attachments([wish(made)], owner="own_2", seconds=30)
    store.outbox.postpone(order, seconds=60)
    assert [one.id for one in claim(store)] == [order.id]
