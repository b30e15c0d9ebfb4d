"""The journal's promises, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from service.domain.digests import Digest
from service.domain.errors import InvalidRequestError, LeaseLostError
from service.domain.pages import PageRequest
from service.domain.references import Repository
from service.domain.signing import AttachmentState
from service.ports.store import Completed, SignatureFilter
from service.store import Store
from tests.support.records import (
    REPOSITORY,
    a_digest,
    a_statement,
    an_intent,
    an_outcome,
    make_key,
    sign,
)

EXPIRED = -1.0
ANY = SignatureFilter()
FIRST = PageRequest()


def audit_bodies(store: Store, action: str) -> list[dict[str, object]]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    return [body for row in rows if (body := orjson.loads(row))["action"] == action]


def intent_states(store: Store) -> dict[str, tuple[str, str | None]]:
    query = "SELECT id, state, reason FROM intents"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).all())
    return {row.id: (row.state, row.reason) for row in rows}


def set_version_state(store: Store, state: str) -> None:
    statement = f"UPDATE key_versions SET state = '{state}'"
    store._database.write(lambda c: c.exec_driver_sql(statement).rowcount)


def test_a_completed_signature_is_read_back_as_it_was_made(store: Store) -> None:
    make_key(store)
    intent = an_intent(attach=False)
    store.journal.intend([intent], owner="own", seconds=30)
    outcome = an_outcome(intent)
    (done,) = store.journal.complete([outcome], owner="own", order_lease_seconds=30)
    assert done.error is None
    assert done.order is None
    made = done.signature
    assert made is not None
    assert (made.id, made.statement) == (outcome.signature_id, intent.statement)
    assert (made.payload, made.signature) == (intent.payload, outcome.signature)
    assert made.log_entry == outcome.log_entry
    assert made.attachment.state is AttachmentState.NONE
    assert store.journal.get(made.id) == made
    assert store.journal.standing([intent.statement_hash, "0" * 64]) == {
        intent.statement_hash: made
    }
    assert store.journal.list(ANY, FIRST).items == (made,)


def test_the_outcome_leaves_a_log_entry_and_an_audit_event_of_its_own(store: Store) -> None:
    make_key(store)
    (done,) = sign(store, an_intent())
    assert done.signature is not None
    (event,) = audit_bodies(store, "signature.made")
    assert event["subject"] == done.signature.id
    assert event["actor"] == "cred_1"
    details = event["details"]
    assert isinstance(details, dict)
    assert details["key"] == "release"
    assert details["payload_sha256"] == Digest.of(done.signature.payload).hex
    query = "SELECT signature_id, entry FROM log_entries"
    entries = store._database.read(lambda c: c.exec_driver_sql(query).all())
    assert [tuple(row) for row in entries] == [(done.signature.id, done.signature.log_entry)]


def test_a_thousand_outcomes_are_answered_in_their_order(store: Store) -> None:
    make_key(store)
    intents = [an_intent(a_statement(i), item=i, attach=True) for i in range(1000)]
    answers = sign(store, *intents)
    assert [a.signature.statement for a in answers if a.signature] == [
        intent.statement for intent in intents
    ]
    assert all(a.order is not None and a.order.digest == i.statement.digest
               for a, i in zip(answers, intents, strict=True))  # fmt: skip
    assert len(store.journal.standing([i.statement_hash for i in intents])) == 1000


def test_empty_calls_do_nothing(store: Store) -> None:
    store.journal.intend([], owner="own", seconds=30)
    store.journal.abandon([], owner="own", reason="busy")
    assert store.journal.complete([], owner="own", order_lease_seconds=30) == ()
    assert store.journal.standing([]) == {}
    assert store.journal.get("sig_none") is None
    assert store.journal.list(ANY, FIRST).items == ()


def test_an_intent_of_another_owner_is_refused_and_left_alone(store: Store) -> None:
    make_key(store)
    intent = an_intent()
    store.journal.intend([intent], owner="own_1", seconds=30)
    (done,) = store.journal.complete([an_outcome(intent)], owner="own_2", order_lease_seconds=30)
    assert isinstance(done.error, LeaseLostError)
    assert intent_states(store)[intent.id] == ("open", None)
    (control,) = store.journal.complete([an_outcome(intent)], owner="own_1", order_lease_seconds=30)
    assert control.signature is not None


def test_an_intent_whose_lease_ran_out_is_refused_and_the_signature_discarded(
    store: Store,
) -> None:
    make_key(store)
    intent = an_intent()
    store.journal.intend([intent], owner="own", seconds=EXPIRED)
    (done,) = store.journal.complete([an_outcome(intent)], owner="own", order_lease_seconds=30)
    assert isinstance(done.error, LeaseLostError)
    assert store.journal.list(ANY, FIRST).items == ()
    assert intent_states(store)[intent.id] == ("discarded", "lease-lost")
    assert [event["subject"] for event in audit_bodies(store, "signature.discarded")] == [intent.id]


def test_an_intent_that_was_never_recorded_is_refused(store: Store) -> None:
    make_key(store)
    outcome = an_outcome(an_intent())
    (done,) = store.journal.complete([outcome], owner="own", order_lease_seconds=30)
    assert isinstance(done.error, LeaseLostError)


@pytest.mark.parametrize("state", ["staged", "suspended", "retired", "compromised", "destroyed"])
def test_a_key_version_that_is_not_active_records_nothing(store: Store, state: str) -> None:
    make_key(store)
    good, late = an_intent(a_statement(1)), an_intent(a_statement(2), item=1)
    assert sign(store, good)[0].signature is not None
    set_version_state(store, state)
    (done,) = sign(store, late)
    assert isinstance(done.error, LeaseLostError)
    assert intent_states(store)[late.id] == ("discarded", "lease-lost")
    assert len(store.journal.list(ANY, FIRST).items) == 1


def test_one_refused_item_takes_no_other_along(store: Store) -> None:
    make_key(store)
    good, bad = an_intent(a_statement(1)), an_intent(a_statement(2), item=1)
    store.journal.intend([good], owner="own", seconds=30)
    store.journal.intend([bad], owner="own", seconds=EXPIRED)
    answers = store.journal.complete(
        [an_outcome(bad), an_outcome(good)], owner="own", order_lease_seconds=30
    )
    assert isinstance(answers[0].error, LeaseLostError)
    assert answers[1].signature is not None


def test_renewal_keeps_a_lease_and_only_its_owners(store: Store) -> None:
    make_key(store)
    mine, other = an_intent(a_statement(1)), an_intent(a_statement(2), item=1)
    store.journal.intend([mine], owner="own_1", seconds=60)
    store.journal.intend([other], owner="own_2", seconds=60)
    store.journal.renew("req_1", owner="own_1", seconds=EXPIRED)  # shortened, to see it move
    assert [u.intent_id for u in store.journal.unknown_outcomes(ANY, FIRST).items] == [mine.id]


def test_a_second_signature_for_a_standing_statement_is_discarded(store: Store) -> None:
    make_key(store)
    (first,) = sign(store, an_intent())
    again = an_intent(request_id="req_2")
    (second,) = sign(store, again, owner="own_2")
    assert second.signature == first.signature
    assert intent_states(store)[again.id] == ("discarded", "another-stands")
    assert len(store.journal.list(ANY, FIRST).items) == 1


def test_force_lets_the_new_signature_take_the_place_of_the_old(store: Store) -> None:
    make_key(store)
    (first,) = sign(store, an_intent())
    (second,) = sign(store, an_intent(request_id="req_2"), owner="own_2", force=True)
    assert first.signature is not None
    assert second.signature is not None
    assert second.signature.id != first.signature.id
    statement = first.signature.statement.hash()
    assert store.journal.standing([statement]) == {statement: second.signature}
    # The old one stays on record; it only stands no longer.
    assert store.journal.get(first.signature.id) == first.signature


@pytest.mark.parametrize("force", [False, True])
def test_of_two_equal_statements_in_one_call_the_first_wins(store: Store, *, force: bool) -> None:
    make_key(store)
    one, two = an_intent(item=0), an_intent(item=1)
    first, second = sign(store, one, two, force=force)
    assert first.signature is not None
    assert second.signature == first.signature
    assert store.journal.made_for_request("req_1", items=range(10)) == {
        (0, one.statement_hash): first.signature,
        (1, two.statement_hash): first.signature,
    }


def test_a_request_finds_what_it_has_made_even_after_another_replaced_it(store: Store) -> None:
    make_key(store)
    (first,) = sign(store, an_intent())
    sign(store, an_intent(request_id="req_2"), owner="own_2", force=True)
    statement = a_statement().hash()
    assert store.journal.made_for_request("req_1", items=range(10)) == {
        (0, statement): first.signature
    }
    assert store.journal.made_for_request("req_3", items=range(10)) == {}


def test_what_failed_leads_to_nothing(store: Store) -> None:
    intent = an_intent()
    store.journal.intend([intent], owner="own", seconds=30)
    store.journal.abandon([intent.id], owner="other", reason="hsm-unavailable")
    assert intent_states(store)[intent.id] == ("open", None)
    store.journal.abandon([intent.id], owner="own", reason="hsm-unavailable")
    assert intent_states(store)[intent.id] == ("abandoned", "hsm-unavailable")
    assert store.journal.made_for_request("req_1", items=range(10)) == {}
    assert store.journal.unknown_outcomes(ANY, FIRST).items == ()


def test_a_dead_intent_is_an_unknown_outcome_until_a_retry_supersedes_it(store: Store) -> None:
    make_key(store)
    dead, living = an_intent(), an_intent(a_statement(2))
    store.journal.intend([dead], owner="own_1", seconds=EXPIRED)
    store.journal.intend([living], owner="own_1", seconds=30)
    (unknown,) = store.journal.unknown_outcomes(ANY, FIRST).items
    assert (unknown.intent_id, unknown.statement) == (dead.id, dead.statement)
    retry = an_intent(request_id="req_2")
    (done,) = sign(store, retry, owner="own_2")
    assert done.signature is not None
    assert intent_states(store)[dead.id] == ("superseded", None)
    assert store.journal.unknown_outcomes(ANY, FIRST).items == ()
    query = f"SELECT replaces FROM intents WHERE id = '{retry.id}'"
    assert store._database.read(lambda c: c.exec_driver_sql(query).scalar_one()) == dead.id
    (late,) = store.journal.complete([an_outcome(dead)], owner="own_1", order_lease_seconds=30)
    assert isinstance(late.error, LeaseLostError)
    assert intent_states(store)[dead.id] == ("superseded", None)


def test_a_living_intent_for_the_same_statement_is_not_superseded(store: Store) -> None:
    living = an_intent()
    store.journal.intend([living], owner="own_1", seconds=30)
    store.journal.intend([an_intent(request_id="req_2")], owner="own_2", seconds=30)
    assert intent_states(store)[living.id] == ("open", None)


def test_filters_choose_by_each_of_their_fields(store: Store) -> None:
    make_key(store)
    make_key(store, "other")
    elsewhere = Repository("registry.example.com", "other/app")
    first = an_intent(a_statement(1))
    second = an_intent(
        a_statement(2, repository=elsewhere, key="other"), item=1, credential_id="cred_2"
    )
    one, two = (done.signature for done in sign(store, first, second))
    assert one is not None
    assert two is not None
    later = one.created_at + timedelta(hours=1)
    table = [
        (SignatureFilter(repository=str(REPOSITORY)), [one]),
        (SignatureFilter(digest=a_digest(2)), [two]),
        (SignatureFilter(key="other"), [two]),
        (SignatureFilter(credential_id="cred_1"), [one]),
        (SignatureFilter(since=one.created_at), [two, one]),
        (SignatureFilter(since=later), []),
        (SignatureFilter(repositories=()), []),
        (SignatureFilter(repositories=("registry.example.com/*",)), []),
        (SignatureFilter(repositories=("registry.example.com/*/app",)), [two, one]),
        (SignatureFilter(repositories=("nowhere/**", "registry.example.com/team/**")), [one]),
        (SignatureFilter(repositories=("registryXexample.com/team/app",)), []),
        (SignatureFilter(key="other", digest=a_digest(1)), []),
    ]
    for wanted, expected in table:
        assert list(store.journal.list(wanted, FIRST).items) == expected, wanted


def test_pages_neither_repeat_nor_hide_when_new_signatures_arrive(store: Store) -> None:
    make_key(store)
    sign(store, *(an_intent(a_statement(i), item=i) for i in range(7)))
    every = store.journal.list(ANY, FIRST)
    assert every.next is None
    seen = []
    page = PageRequest(limit=3)
    for number in range(3):
        got = store.journal.list(ANY, page)
        seen += got.items
        sign(store, an_intent(a_statement(f"new {number}"), request_id="req_2"), owner="own_2")
        page = replace(page, cursor=got.next)
    assert seen == list(every.items)
    assert got.next is None


@pytest.mark.parametrize("cursor", ["", "x", "!!", "Zm9v", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ"])
def test_a_cursor_that_no_page_gave_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidRequestError):
        store.journal.list(ANY, PageRequest(cursor=cursor))


def race(store: Store, count: int, *, force: bool) -> list[Completed]:
    """Several owners complete one statement at the same moment."""
    intents = [an_intent(request_id=f"req_{n}", attach=True) for n in range(count)]
    for number, intent in enumerate(intents):
        store.journal.intend([intent], owner=f"own_{number}", seconds=30)
    gate = threading.Barrier(count)
    answers: list[Sequence[Completed]] = [()] * count

    def complete(number: int) -> None:
        outcome = an_outcome(intents[number], force=force)
        gate.wait()
        answers[number] = store.journal.complete(
            [outcome], owner=f"own_{number}", order_lease_seconds=30
        )

    threads = [threading.Thread(target=complete, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [done for (done,) in answers]


def test_racers_for_one_statement_all_get_the_winners_signature(store: Store) -> None:
    make_key(store)
    answers = race(store, 6, force=False)
    assert {done.signature.id for done in answers if done.signature} == {
        done.signature.id for done in answers[:1] if done.signature
    }
    assert len(store.journal.list(ANY, FIRST).items) == 1
    # One subject has one writer.
    assert len([done for done in answers if done.order is not None]) == 1


def test_racers_with_force_each_have_their_turn_and_one_stands(store: Store) -> None:
    make_key(store)
    answers = race(store, 6, force=True)
    ids = {done.signature.id for done in answers if done.signature}
    assert len(ids) == 6
    (standing,) = store.journal.standing([a_statement().hash()]).values()
    assert standing.id in ids
    assert len(store.journal.list(ANY, FIRST).items) == 6


def test_batches_that_race_in_opposite_orders_both_end_well(store: Store) -> None:
    make_key(store)
    batches = [
        [an_intent(a_statement(i), request_id=f"req_{n}", item=i, attach=True) for i in order]
        for n, order in enumerate([range(60), range(59, -1, -1)])
    ]
    for number, batch in enumerate(batches):
        store.journal.intend(batch, owner=f"own_{number}", seconds=30)
    answers: list[Sequence[Completed]] = [(), ()]

    def complete(number: int) -> None:
        outcomes = [an_outcome(intent) for intent in batches[number]]
        answers[number] = store.journal.complete(
            outcomes, owner=f"own_{number}", order_lease_seconds=30
        )

    threads = [threading.Thread(target=complete, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for batch, answer in zip(batches, answers, strict=True):
        assert [d.signature.statement for d in answer if d.signature] == [
            intent.statement for intent in batch
        ]
    first, second = ({d.signature.id for d in answer if d.signature} for answer in answers)
    assert first == second
