"""The quorum rules over a real store: what gets tighter by itself, and what guards the quorum."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from service.domain.acts import Act, ActKind, Performed
from service.domain.approvals import Approval, ApprovalState
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import SystemClock, rfc3339
from service.domain.errors import (
    ApprovalStaleError,
    ForbiddenError,
    HSMUnavailableError,
    KeyNotUsableError,
    NothingToLoosenError,
    ServiceError,
)
from service.domain.pages import PageRequest
from service.domain.quorum import QuorumRules
from service.operations import Approvals, Credentials, QuorumPolicy
from service.operations.acts import Acts
from service.operations.custodians import CustodianCredentials
from service.operations.quorum import LoosenRules, Quorum
from service.operations.renewal import LeaseRenewer
from service.operations.watch_quorum import WatchQuorum
from service.ports.store import FindingFilter
from service.store import Store

TWO = QuorumRules({ActKind.DESTROY: 2})
THREE = QuorumRules({ActKind.DESTROY: 3, ActKind.GENERATE: 2})
ADMIN = Caller("cred_admin", "root", "Root", Role.ADMIN)


@dataclass
class Bomb:
    """Performs `destroy`: counts, and fails as told."""

    state: str = "whole"
    done: list[str] = field(default_factory=list)
    check_fault: Exception | None = None
    fault: Exception | None = None

    def check(self, act: Act) -> str:
        if self.check_fault is not None:
            raise self.check_fault
        return self.state

    def perform(self, act: Act, *, actor: str) -> Performed:
        if self.fault is not None:
            raise self.fault
        self.done.append(actor)
        return Performed(act.subject, {"destroyed": act.subject})


@dataclass
class Office:
    """Everybody who has to do with approvals, over one store."""

    store: Store
    file: QuorumRules = field(default_factory=QuorumRules)
    bomb: Bomb = field(default_factory=Bomb)

    def __post_init__(self) -> None:
        clock = SystemClock()
        admin = Credential(ADMIN, "hash", datetime.now(UTC))
        self.store.credentials.create(admin, actor="test", only_if_no_admin=True)
        self.quorum = Quorum(self.store.quorum, self.store.credentials, lambda: self.file, clock)
        performers = {
            ActKind.DESTROY: self.bomb,
            ActKind.CREDENTIAL: CustodianCredentials(self.store.credentials, clock),
            ActKind.QUORUM: LoosenRules(self.store.quorum),
        }
        self.acts = Acts(performers, self.quorum, self.store.approvals, clock)
        self.approvals = Approvals(
            self.store.approvals, self.acts, self.store.credentials, LeaseRenewer(clock), clock
        )
        self.credentials = Credentials(self.store.credentials, self.acts, clock)
        self.policy = QuorumPolicy(self.quorum, self.acts)
        self.watch = WatchQuorum(self.quorum, self.store.findings)

    def hire(self, name: str, person: str | None = None) -> Performed | Approval:
        return self.credentials.create(
            ADMIN,
            name=name,
            person=person or name.title(),
            role=Role.CUSTODIAN,
            repositories=(),
            keys=(),
            rights=(),
            expires_at=None,
        )[0]

    def caller(self, name: str) -> Caller:
        held = self.store.credentials.get(name)
        assert held is not None
        return held.caller

    def policy_of(self, file: QuorumRules) -> Performed | Approval:
        """Write another file, and ask for it."""
        self.file = file
        return self.policy.loosen(ADMIN)

    def destroy(self, name: str = "ada") -> Performed | Approval:
        return self.acts.request(self.caller(name), Act(ActKind.DESTROY, "release/1"))

    def approve(self, name: str, asked: Performed | Approval) -> Approval:
        assert isinstance(asked, Approval)
        return self.approvals.approve(self.caller(name), asked.id, signature=None, reason=None)

    def state(self, asked: Performed | Approval) -> ApprovalState:
        assert isinstance(asked, Approval)
        return self.approvals.get(ADMIN, asked.id).state

    def findings(self) -> set[str]:
        wanted = FindingFilter(is_open=True)
        found = self.store.findings.list(wanted, PageRequest()).items
        return {finding.code for finding in found}


@pytest.fixture
def office(store: Store) -> Office:
    made = Office(store)
    for name in ("ada", "grace"):
        assert isinstance(made.hire(name), Performed)
    return made


# --- rules


def test_without_rules_acts_are_done_at_once(office: Office) -> None:
    assert office.destroy() == Performed("release/1", {"destroyed": "release/1"})
    assert office.bomb.done == ["ada"]
    assert isinstance(office.hire("edith"), Performed)


def test_a_tighter_file_takes_effect_by_itself_and_a_looser_one_does_not(office: Office) -> None:
    office.file = TWO
    assert isinstance(office.destroy(), Approval)
    office.file = QuorumRules()
    assert isinstance(office.destroy(), Approval)
    status = office.policy.show(ADMIN)
    assert (status.in_force.people, status.looser) == (
        {ActKind.DESTROY: 2},
        ("destroy: 1 instead of 2",),
    )
    office.file = QuorumRules({ActKind.GENERATE: 2}, signed=True)
    in_force = office.quorum.rules()
    assert in_force.rules.people == {ActKind.DESTROY: 2, ActKind.GENERATE: 2}
    assert (in_force.rules.signed, in_force.number) == (True, 2)
    assert office.quorum.rules() == in_force


def test_rules_get_looser_by_approval_and_then_are_exactly_those_of_the_file(
    office: Office,
) -> None:
    office.file = THREE
    office.quorum.rules()
    office.file = TWO
    asked = office.policy.loosen(office.caller("ada"))
    # Two people ever were custodians, and there are no three to ask.
    assert isinstance(asked, Approval)
    assert (asked.needed, asked.missing) == (2, 1)
    assert asked.act.arguments["looser"] == ["destroy: 2 instead of 3", "generate: 1 instead of 2"]
    assert office.quorum.rules().rules.people == THREE.people
    assert office.approve("grace", asked).state is ApprovalState.EXECUTED
    assert office.quorum.rules().rules.people == TWO.people
    with pytest.raises(NothingToLoosenError):
        office.policy.loosen(ADMIN)


def test_a_loosening_that_was_overtaken_by_other_rules_is_not_done(office: Office) -> None:
    office.file = TWO
    office.quorum.rules()
    office.file = QuorumRules()
    asked = office.policy.loosen(ADMIN)
    office.approve("ada", asked)
    office.file = QuorumRules({ActKind.ADOPT: 2})
    with pytest.raises(ApprovalStaleError):
        office.approve("grace", asked)
    assert office.state(asked) is ApprovalState.FAILED
    assert office.quorum.rules().rules.needed(ActKind.DESTROY) == 2


def test_findings_tell_of_a_looser_file_and_of_too_few_custodians(office: Office) -> None:
    office.watch()
    assert office.findings() == set()
    office.file = TWO
    office.watch()
    assert office.quorum.book.in_force().rules.people == TWO.people
    office.file = QuorumRules()
    office.credentials.revoke(ADMIN, "grace")
    office.watch()
    assert office.findings() == {"quorum-file-looser", "quorum-short"}
    office.file = TWO
    office.watch()
    assert office.findings() == {"quorum-short"}


# --- custodians' credentials


def test_the_first_two_custodians_need_no_quorum_and_the_third_does(store: Store) -> None:
    office = Office(store, file=THREE)
    assert isinstance(office.hire("ada"), Performed)
    assert isinstance(office.hire("ada-2", "ada"), Performed)
    assert isinstance(office.hire("grace"), Performed)
    asked = office.hire("edith")
    assert isinstance(asked, Approval)
    # An admin who asks is none of the custodians that are needed.
    assert (asked.needed, asked.missing) == (2, 2)
    assert store.credentials.get("edith") is None
    assert office.approve("ada", asked).state is ApprovalState.PENDING
    assert office.approve("grace", asked).state is ApprovalState.EXECUTED
    assert office.caller("edith").role is Role.CUSTODIAN
    fourth = office.hire("joan")
    assert isinstance(fourth, Approval)
    assert fourth.needed == 3


def test_revoking_custodians_takes_the_guard_away_from_nothing(office: Office) -> None:
    office.file = TWO
    office.quorum.rules()
    assert office.credentials.revoke(ADMIN, "grace").revoked_at is not None
    asked = office.hire("mallory")
    assert isinstance(asked, Approval)
    office.approve("ada", asked)
    assert office.state(asked) is ApprovalState.PENDING


def test_a_mistyped_number_can_be_taken_back_by_those_who_are_there(office: Office) -> None:
    for name in ("edith", "joan"):
        office.hire(name)
    office.file = TWO
    office.quorum.rules()
    for name in ("edith", "joan"):
        office.credentials.revoke(ADMIN, name)
    office.file = QuorumRules({ActKind.DESTROY: 16})
    office.watch()
    office.file = TWO
    asked = office.policy.loosen(office.caller("ada"))
    assert isinstance(asked, Approval)
    assert asked.needed == 2
    office.approve("grace", asked)
    assert office.quorum.rules().rules.people == TWO.people


def test_what_many_have_guarded_is_not_undone_by_revoking_them(office: Office) -> None:
    for name in ("edith", "joan", "mary"):
        office.hire(name)
    office.file = QuorumRules({ActKind.DESTROY: 4})
    office.watch()
    for name in ("edith", "joan", "mary"):
        office.credentials.revoke(ADMIN, name)
    for asked in (office.hire("mallory"), office.policy_of(QuorumRules())):
        assert isinstance(asked, Approval)
        assert asked.needed == 4


def test_other_credentials_need_no_quorum(office: Office) -> None:
    office.file = TWO
    made, token = office.credentials.create(
        ADMIN,
        name="ci",
        person="CI",
        role=Role.BUILDER,
        repositories=("**",),
        keys=("*",),
        rights=(),
        expires_at=None,
    )
    assert isinstance(made, Performed)
    assert token


# --- execution


def test_the_last_approval_does_it_once_and_tells_what_came_of_it(office: Office) -> None:
    office.file = TWO
    asked = office.destroy()
    with pytest.raises(ForbiddenError):
        office.approve("ada", asked)
    assert office.bomb.done == []
    ended = office.approve("grace", asked)
    assert (ended.state, ended.outcome) == (
        ApprovalState.EXECUTED,
        {"destroyed": "release/1"},
    )
    assert office.bomb.done == [ended.id]
    with pytest.raises(ServiceError, match="executed"):
        office.approve("grace", asked)
    assert len(office.bomb.done) == 1


def test_what_is_recorded_is_what_was_answered_to_the_millisecond(office: Office) -> None:
    office.file = THREE
    for _ in range(20):
        asked = office.destroy()
        assert isinstance(asked, Approval)
        assert office.approvals.get(ADMIN, asked.id) == asked
        said = json.loads(asked.document)
        assert said["expires_at"] == rfc3339(asked.expires_at)
        voted = office.approve("grace", asked)
        assert office.approvals.get(ADMIN, asked.id) == voted


def test_another_credential_of_the_person_who_asked_does_not_decide(office: Office) -> None:
    office.hire("ada-2", "  ADA ")
    office.file = TWO
    asked = office.destroy("ada-2")
    for name in ("ada", "ada-2"):
        with pytest.raises(ForbiddenError):
            office.approve(name, asked)
    with pytest.raises(ForbiddenError):
        office.approvals.reject(office.caller("ada"), asked.id, signature=None, reason=None)  # type: ignore[union-attr]
    assert office.approve("grace", asked).state is ApprovalState.EXECUTED


def test_last_approvals_at_one_moment_do_it_once(office: Office) -> None:
    for name in ("edith", "joan", "mary", "hedy"):
        office.hire(name)
    office.file = TWO
    asked = office.destroy()
    gate = threading.Barrier(5)
    told: list[object] = []

    def run(name: str) -> None:
        gate.wait()
        try:
            told.append(office.approve(name, asked).state)
        except ServiceError as error:
            told.append(error.code)

    names = ("grace", "edith", "joan", "mary", "hedy")
    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(office.bomb.done) == 1
    assert told.count(ApprovalState.EXECUTED) == 1
    assert told.count("approval-not-pending") == 4


@pytest.mark.parametrize("how", ["state", "forbidden", "tighter", "signed"])
def test_what_would_happen_must_be_what_was_approved(office: Office, how: str) -> None:
    office.hire("edith")
    office.file = TWO
    asked = office.destroy()
    match how:
        case "state":
            office.bomb.state = "in pieces"
        case "forbidden":
            office.bomb.check_fault = KeyNotUsableError("it is gone")
        case "tighter":
            office.file = THREE
        case "signed":
            office.file = QuorumRules({ActKind.DESTROY: 2}, signed=True)
    with pytest.raises(ApprovalStaleError):
        office.approve("grace", asked)
    assert office.bomb.done == []
    assert office.state(asked) is ApprovalState.FAILED
    with pytest.raises(ServiceError, match="failed"):
        office.approve("edith", asked)


def test_a_fault_that_passes_leaves_it_pending_and_its_approver_tries_again(
    office: Office,
) -> None:
    office.file = TWO
    asked = office.destroy()
    office.bomb.check_fault = HSMUnavailableError("away")
    with pytest.raises(HSMUnavailableError):
        office.approve("grace", asked)
    office.bomb.check_fault, office.bomb.fault = None, HSMUnavailableError("still away")
    with pytest.raises(HSMUnavailableError):
        office.approve("grace", asked)
    assert office.state(asked) is ApprovalState.PENDING
    office.bomb.fault = None
    ended = office.approve("grace", asked)
    assert (ended.state, len(ended.approvals)) == (ApprovalState.EXECUTED, 1)


@pytest.mark.parametrize(
    ("fault", "code"),
    [(KeyNotUsableError("no"), "key-not-usable"), (ZeroDivisionError("bug"), "internal")],
)
def test_an_act_that_fails_for_good_says_so(office: Office, fault: Exception, code: str) -> None:
    office.file = TWO
    asked = office.destroy()
    office.bomb.fault = fault
    with pytest.raises(type(fault)):
        office.approve("grace", asked)
    assert isinstance(asked, Approval)
    ended = office.approvals.get(ADMIN, asked.id)
    assert (ended.state, ended.error_code) == (ApprovalState.FAILED, code)
    assert "bug" not in (ended.error_detail or "")


def test_only_custodians_decide(office: Office) -> None:
    office.file = TWO
    asked = office.destroy()
    assert isinstance(asked, Approval)
    for role in (role for role in Role if role is not Role.CUSTODIAN):
        stranger = Caller("cred_x", "x", "X", role)
        with pytest.raises(ForbiddenError):
            office.approvals.approve(stranger, asked.id, signature=None, reason=None)
        with pytest.raises(ForbiddenError):
            office.approvals.reject(stranger, asked.id, signature=None, reason=None)
    rejected = office.approvals.reject(
        office.caller("grace"), asked.id, signature=None, reason="not today"
    )
    assert rejected.state is ApprovalState.REJECTED
    assert rejected.rejection is not None
    assert rejected.rejection.reason == "not today"
