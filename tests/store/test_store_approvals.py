"""Approvals and quorum rules: their promises on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from sqlalchemy.exc import DBAPIError

from service.domain.acts import Act, ActKind
from service.domain.approvals import Approval, ApprovalState, Decision, Participant, Vote
from service.domain.audit import AuditEvent
from service.domain.callers import Caller, Credential, Role
from service.domain.errors import (
    AlreadyApprovedError,
    ApprovalNotPendingError,
    LeaseLostError,
    ServiceError,
)
from service.domain.ids import new_id
from service.domain.pages import PageRequest
from service.domain.quorum import QuorumRules
from service.ports.approvals import RulesInForce
from service.store import Store

NOW = datetime.now(UTC).replace(microsecond=0)
LATER = NOW + timedelta(days=1)
FIRST = PageRequest()
OWNER = "own_1"


def custodian(store: Store, name: str, person: str | None = None) -> Participant:
    caller = Caller(f"cred_{name}", name, person or name.title(), Role.CUSTODIAN)
    held = Credential(caller, f"hash of {name}", NOW)
    store.credentials.create(held, actor="admin", only_if_no_admin=False)
    return Participant.of(caller)


def asked(
    store: Store,
    requester: Participant,
    *,
    needed: int = 2,
    subject: str = "release/1",
    expires_at: datetime = LATER,
) -> Approval:
    approval_id = new_id("apr")
    act = Act(ActKind.DESTROY, subject, {"reason": "tired", "list": [1, None]})
    approval = Approval(
        approval_id,
        act,
        b"document of " + approval_id.encode(),
        "fingerprint",
        requester,
        needed,
        False,
        ApprovalState.PENDING,
        NOW,
        expires_at,
    )
    store.approvals.open(approval)
    return approval


def yes(by: Participant, **more: str) -> Vote:
    return Vote(by, Decision.APPROVE, NOW, **more)


def approve(store: Store, approval: Approval, vote: Vote, *, seconds: float = 30) -> Approval:
    found = store.approvals.approve(approval.id, vote, owner=OWNER, seconds=seconds)
    assert found is not None
    return found


def trail(store: Store) -> list[dict[str, object]]:
    query = "SELECT body FROM audit_events ORDER BY seq"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).scalars().all())
    return [orjson.loads(row) for row in rows]


def actions(store: Store) -> list[object]:
    return [event["action"] for event in trail(store) if event["action"] != "credential.created"]


def execute(store: Store, statement: str) -> None:
    store._database.write(lambda c: c.exec_driver_sql(statement).rowcount)


def test_an_approval_is_read_back_as_it_was_asked_for(store: Store) -> None:
    ada = custodian(store, "ada")
    made = asked(store, ada)
    assert store.approvals.get(made.id) == made
    assert store.approvals.get("apr_none") is None
    (event,) = [e for e in trail(store) if e["action"] == "approval.requested"]
    assert (event["actor"], event["subject"]) == ("ada", made.id)
    assert json.dumps(event["details"]).count("release/1") == 1


def test_the_last_of_the_people_gets_the_execution_and_ends_it(store: Store) -> None:
    ada, grace, edith = (custodian(store, name) for name in ("ada", "grace", "edith"))
    made = asked(store, ada, needed=3)
    vote = yes(grace, reason="agreed", signature="SIG", ssh_public_key="ssh-ed25519 AAAA")
    first = approve(store, made, vote)
    assert (first.state, first.missing, first.votes) == (ApprovalState.PENDING, 1, (vote,))
    second = approve(store, made, yes(edith))
    assert (second.state, second.missing) == (ApprovalState.EXECUTING, 0)
    store.approvals.renew(made.id, owner=OWNER, seconds=30)
    ended = store.approvals.executed(made.id, owner=OWNER, outcome={"destroyed": [1]})
    assert (ended.state, ended.outcome) == (ApprovalState.EXECUTED, {"destroyed": [1]})
    assert ended.ended_at is not None
    assert store.approvals.get(made.id) == ended
    assert [vote.by.name for vote in ended.approvals] == ["grace", "edith"]
    assert actions(store) == [
        "approval.requested",
        "approval.approved",
        "approval.approved",
        "approval.execution-begun",
        "approval.executed",
    ]


def test_a_person_is_one_voice_whatever_credential(store: Store) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    again = custodian(store, "grace-2", "  GRACE ")
    made = asked(store, ada, needed=3)
    approve(store, made, yes(grace))
    for same in (grace, again):
        with pytest.raises(AlreadyApprovedError):
            approve(store, made, yes(same))
    assert approve(store, made, yes(custodian(store, "edith"))).state is ApprovalState.EXECUTING


def test_one_rejection_ends_it(store: Store) -> None:
    ada, grace, edith = (custodian(store, name) for name in ("ada", "grace", "edith"))
    made = asked(store, ada, needed=3)
    approve(store, made, yes(grace))
    no = Vote(grace, Decision.REJECT, NOW, "on second thoughts")
    ended = store.approvals.reject(made.id, no)
    assert ended is not None
    assert (ended.state, ended.rejection) == (ApprovalState.REJECTED, no)
    assert actions(store)[-1] == "approval.rejected"
    with pytest.raises(ApprovalNotPendingError, match="rejected"):
        approve(store, made, yes(edith))
    with pytest.raises(ApprovalNotPendingError):
        store.approvals.reject(made.id, no)
    assert store.approvals.reject("apr_none", no) is None
    assert store.approvals.approve("apr_none", no, owner=OWNER, seconds=1) is None


@pytest.mark.parametrize("many", [2, 3])
def test_of_many_last_approvals_at_one_moment_one_executes(store: Store, many: int) -> None:
    ada = custodian(store, "ada")
    others = [custodian(store, f"keeper-{n}") for n in range(8)]
    made = asked(store, ada, needed=many)
    for early in others[: many - 2]:
        approve(store, made, yes(early))
    gate = threading.Barrier(6)
    got: list[object] = []

    def run(number: int, voter: Participant) -> None:
        gate.wait()
        try:
            found = store.approvals.approve(made.id, yes(voter), owner=f"own_{number}", seconds=30)
            got.append(None if found is None else found.state)
        except ServiceError as error:
            got.append(type(error))

    threads = [threading.Thread(target=run, args=(n, voter)) for n, voter in enumerate(others[2:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count(ApprovalState.EXECUTING) == 1
    assert got.count(ApprovalNotPendingError) == 5
    assert actions(store).count("approval.execution-begun") == 1


def revoke(store: Store, name: str) -> None:
    store.credentials.revoke(name, actor="admin")


def rebind(store: Store, name: str) -> None:
    held = store.credentials.get(name)
    assert held is not None
    caller = replace(held.caller, person="Somebody Else")
    store.credentials.change(replace(held, caller=caller), actor="admin")


def expire(store: Store, name: str) -> None:
    held = store.credentials.get(name)
    assert held is not None
    store.credentials.change(replace(held, expires_at=NOW - timedelta(days=9)), actor="admin")


@pytest.mark.parametrize("change", [revoke, rebind, expire])
@pytest.mark.parametrize("whose", ["ada", "grace", "edith"])
def test_whoever_counts_must_still_be_who_they_were(
    store: Store, change: Callable[[Store, str], None], whose: str
) -> None:
    ada, grace, edith = (custodian(store, name) for name in ("ada", "grace", "edith"))
    made = asked(store, ada, needed=3)
    approve(store, made, yes(grace))
    change(store, whose)
    ended = approve(store, made, yes(edith))
    assert (ended.state, ended.error_code) == (ApprovalState.FAILED, "approver-invalid")
    assert whose in (ended.error_detail or "")
    assert actions(store).count("approval.execution-begun") == 0
    with pytest.raises(ApprovalNotPendingError, match="failed"):
        approve(store, made, yes(custodian(store, "joan")))


def test_an_execution_is_its_owners_alone(store: Store) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    made = asked(store, ada)
    approve(store, made, yes(grace))
    for stranger in (
        lambda: store.approvals.executed(made.id, owner="own_2", outcome={}),
        lambda: store.approvals.failed(made.id, owner="own_2", code="c", detail="d"),
        lambda: store.approvals.postpone(made.id, owner="own_2", code="c"),
        lambda: store.approvals.renew(made.id, owner="own_2", seconds=1),
        lambda: store.approvals.executed("apr_none", owner=OWNER, outcome={}),
    ):
        with pytest.raises(LeaseLostError):
            stranger()
    ended = store.approvals.failed(made.id, owner=OWNER, code="key-in-use", detail="it was")
    assert (ended.state, ended.error_code, ended.error_detail) == (
        ApprovalState.FAILED,
        "key-in-use",
        "it was",
    )
    with pytest.raises(LeaseLostError):
        store.approvals.executed(made.id, owner=OWNER, outcome={})


def test_what_failed_in_passing_keeps_its_votes_and_may_be_tried_again(store: Store) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    made = asked(store, ada)
    approve(store, made, yes(grace))
    store.approvals.postpone(made.id, owner=OWNER, code="hsm-unavailable")
    waiting = store.approvals.get(made.id)
    assert waiting is not None
    assert (waiting.state, waiting.missing) == (ApprovalState.PENDING, 0)
    assert approve(store, made, yes(grace)).state is ApprovalState.EXECUTING
    assert len(store.approvals.executed(made.id, owner=OWNER, outcome={}).votes) == 1
    assert "approval.postponed" in actions(store)


def test_what_has_run_out_cannot_be_approved_and_is_put_on_record(store: Store) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    old = asked(store, ada, expires_at=NOW - timedelta(seconds=1))
    new = asked(store, ada)
    found = store.approvals.get(old.id)
    assert found is not None
    assert (found.state, found.ended_at) == (ApprovalState.EXPIRED, old.expires_at)
    with pytest.raises(ApprovalNotPendingError, match="expired"):
        approve(store, old, yes(grace))
    listed = store.approvals.list(FIRST, state=ApprovalState.EXPIRED, key=None)
    assert [approval.id for approval in listed.items] == [old.id]
    assert "approval.expired" not in actions(store)
    assert store.approvals.sweep() == 1
    assert store.approvals.sweep() == 0
    assert actions(store)[-1] == "approval.expired"
    listed = store.approvals.list(FIRST, state=ApprovalState.PENDING, key=None)
    assert [approval.id for approval in listed.items] == [new.id]


@pytest.mark.parametrize("swept", [False, True])
def test_an_execution_whose_process_died_is_told_as_such_and_never_tried_again(
    store: Store, swept: bool
) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    made = asked(store, ada)
    approve(store, made, yes(grace), seconds=-1)
    if swept:
        assert store.approvals.sweep() == 1
        assert actions(store)[-1] == "approval.failed"
    found = store.approvals.get(made.id)
    assert found is not None
    assert (found.state, found.error_code) == (ApprovalState.FAILED, "approval-interrupted")
    assert found.ended_at is not None
    with pytest.raises(ApprovalNotPendingError):
        approve(store, made, yes(grace))
    listed = store.approvals.list(FIRST, state=ApprovalState.FAILED, key=None)
    assert [approval.id for approval in listed.items] == [made.id]
    assert store.approvals.list(FIRST, state=ApprovalState.EXECUTING, key=None).items == ()
    # It was only slow: nobody else can have done it, so its word counts.
    ended = store.approvals.executed(made.id, owner=OWNER, outcome={"late": True})
    assert (ended.state, ended.error_code) == (ApprovalState.EXECUTED, None)


def test_approvals_are_listed_newest_first_by_state_and_key(store: Store) -> None:
    ada = custodian(store, "ada")
    subjects = ["release", "release/1", "release/22", "release-2/1", "releases", "r_lease/1"]
    made = [asked(store, ada, subject=subject) for subject in subjects]
    page = store.approvals.list(PageRequest(limit=4), state=None, key=None)
    rest = store.approvals.list(PageRequest(limit=4, cursor=page.next), state=None, key=None)
    assert [a.id for a in page.items + rest.items] == [a.id for a in reversed(made)]
    mine = store.approvals.list(FIRST, state=ApprovalState.PENDING, key="release")
    assert [a.act.subject for a in mine.items] == ["release/22", "release/1", "release"]
    wild = store.approvals.list(FIRST, state=None, key="r_lease")
    assert [a.act.subject for a in wild.items] == ["r_lease/1"]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM approval_votes",
        "UPDATE approval_votes SET person = 'x'",
        "DELETE FROM approvals",
        "UPDATE approvals SET needed = 1",
        "UPDATE approvals SET document = fingerprint",
        "UPDATE approvals SET expires_at = 0",
        "DELETE FROM quorum_rules",
        "UPDATE quorum_rules SET rules = '{}'",
    ],
)
def test_what_was_asked_and_answered_cannot_be_rewritten(store: Store, statement: str) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    approve(store, asked(store, ada, needed=3), yes(grace))
    store.quorum.replace(
        RulesInForce(0, QuorumRules()), QuorumRules(), guard=0, actor="x", details={}
    )
    if store._database.is_postgresql:
        statement = statement.replace("= fingerprint", "= '\\x00'")
    with pytest.raises(DBAPIError, match="append-only"):
        execute(store, statement)


# --- quorum rules


def test_the_last_rules_are_in_force_and_each_follows_the_ones_it_knew(store: Store) -> None:
    nothing = store.quorum.in_force()
    assert nothing == RulesInForce(0, QuorumRules())
    two = QuorumRules({ActKind.DESTROY: 2}, signed=True, expires_hours=5)
    assert store.quorum.replace(nothing, two, guard=2, actor="file", details={"because": ["x"]})
    assert store.quorum.in_force() == RulesInForce(1, two, 2)
    assert not store.quorum.replace(nothing, QuorumRules(), guard=0, actor="late", details={})
    assert store.quorum.in_force() == RulesInForce(1, two, 2)
    (event,) = [e for e in trail(store) if e["action"] == "quorum.changed"]
    assert event["actor"] == "file"


def test_of_many_who_change_the_rules_at_once_one_does(store: Store) -> None:
    before = store.quorum.in_force()
    gate = threading.Barrier(6)
    done: list[bool] = []

    def run(number: int) -> None:
        gate.wait()
        rules = QuorumRules({ActKind.DESTROY: 2 + number})
        done.append(store.quorum.replace(before, rules, guard=0, actor="x", details={}))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done.count(True) == 1
    assert store.quorum.in_force().number == 1


# --- custodians' credentials


def test_a_credential_is_changed_in_what_may_change(store: Store) -> None:
    custodian(store, "ada")
    held = store.credentials.get("ada")
    assert held is not None
    caller = replace(held.caller, person="Ada Byron")
    changed = replace(held, caller=caller, expires_at=LATER, ssh_public_key="ssh-ed25519 AAAA")
    store.credentials.change(changed, actor="admin")
    assert store.credentials.get("ada") == changed
    assert store.credentials.by_token_hash(held.token_hash) == changed
    assert trail(store)[-1]["action"] == "credential.changed"
    assert store.credentials.get("none") is None


def test_everybody_who_ever_was_a_custodian_is_told(store: Store) -> None:
    custodian(store, "ada")
    custodian(store, "grace")
    store.credentials.revoke("ada", actor="admin")
    assert [held.caller.name for held in store.credentials.custodians()] == ["ada", "grace"]


# --- what minutes are made from


def test_events_are_found_by_what_they_are_about_before_a_log_holds_them(
    store: Store,
) -> None:
    ada, grace = custodian(store, "ada"), custodian(store, "grace")
    made, other = asked(store, ada), asked(store, ada)
    approve(store, made, yes(grace))
    store.audit.append([AuditEvent("key.created", "ci", "another")])
    found = store.custody_record.about([made.id, "cred_ada", "nothing"], limit=9)
    said = [(json.loads(event.body)["action"], event.sequence) for event in found]
    assert [action for action, _ in said] == [
        "credential.created",
        "approval.requested",
        "approval.approved",
        "approval.execution-begun",
    ]
    assert [sequence for _, sequence in said] == sorted(sequence for _, sequence in said)
    bodies = {event.sequence: event.body for event in found}
    query = "SELECT seq, body FROM audit_events"
    rows = store._database.read(lambda c: c.exec_driver_sql(query).all())
    assert all(bytes(row.body) == bodies[row.seq] for row in rows if row.seq in bodies)
    assert [event.sequence for event in store.custody_record.about([made.id], limit=2)] == [
        sequence for _, sequence in said[-2:]
    ]
    assert store.custody_record.about([], limit=5) == []
    assert len(store.custody_record.about([other.id], limit=5)) == 1
