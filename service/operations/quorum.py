"""The quorum rules: what is in force, how many people an act needs, and how rules get looser.

A policy file that is tighter than what is in force takes effect by itself, whichever process
reads it first, and stays in force when the file is changed back, replaced or gone: what is in
force stands in the store. Looser rules are an act of the kind `quorum`, which needs approvals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from service.domain.acts import Act, ActKind, Performed
from service.domain.approvals import person_key
from service.domain.callers import Credential
from service.domain.clock import Clock
from service.domain.errors import ApprovalStaleError, BusyError, NothingToLoosenError
from service.domain.quorum import (
    ONE,
    SELF_GUARDED,
    QuorumRules,
    included,
    rules_from_json,
    rules_to_json,
)
from service.ports.approvals import QuorumBook, RulesInForce
from service.ports.store import CredentialBook

POLICY_FILE: Final = "policy file"
"""The actor where rules become tighter by themselves."""
ATTEMPTS: Final = 5  # against other processes that put the same rules in force
TWO: Final = 2
SUBJECT: Final = "quorum rules"
FIRST_KEY: Final = "first_key"
"""The argument of a credential's change that only registers its first SSH key."""


@dataclass(frozen=True, slots=True)
class Need:
    """How many people an act needs, and whether each of them has to sign."""

    people: int
    signed: bool = False
    expires_hours: int = 0


@dataclass(frozen=True, slots=True)
class QuorumStatus:
    """`guard` is how many people the quorum's own guard asks for. `looser` names each point in which the file asks for less than what is in force.

    `custodians` are people whose credentials work now; `short` says that they are fewer than
    some rule needs, `without_spare` that the loss of one of them would make it so.
    """

    in_force: QuorumRules
    file: QuorumRules
    guard: int
    looser: tuple[str, ...]
    custodians: int

    @property
    def short(self) -> bool:
        return self.in_force.exist and self.custodians < self.in_force.largest

    @property
    def without_spare(self) -> bool:
        return self.in_force.exist and self.custodians == self.in_force.largest


@dataclass(frozen=True, slots=True)
class Quorum:
    book: QuorumBook
    credentials: CredentialBook
    file: Callable[[], QuorumRules]
    clock: Clock

    def rules(self) -> RulesInForce:
        """Return the rules in force, after the policy file has made them tighter where it does.

        Raises:
            BusyError: other processes kept changing them.
        """
        for _ in range(ATTEMPTS):
            before = self.book.in_force()
            together = before.rules.together_with(self.file())
            # What people who were once custodians together have guarded stays guarded by so many.
            guard = max(before.guard, min(together.largest, self._custodians()))
            now = RulesInForce(before.number, together, guard if together.exist else 0)
            because = [*before.rules.looser_than(together)]
            if now.guard != before.guard:
                because.append(f"guard: {before.guard} instead of {now.guard}")
            if not because:
                return now
            details = {"because": because}
            if self.book.replace(
                before, together, guard=now.guard, actor=POLICY_FILE, details=details
            ):
                return replace(now, number=before.number + 1)
        raise BusyError("the quorum rules are being changed", retry_after=1.0)

    def need(self, act: Act) -> Need:
        """Return what the act needs now.

        Acts that guard the quorum itself need the largest rule, from when two people have been
        custodians. Where there have never been so many custodians at once, they need as many as
        there were: nobody could ever become the third, and a number that was mistyped would be
        for good. Revoking credentials takes no guard away: what once was needed stays needed.
        """
        in_force = self.rules()
        rules = in_force.rules
        people = max(rules.needed(kind) for kind in included(act))
        if act.kind in SELF_GUARDED and rules.exist:
            ever = len(_people(self.credentials.custodians()))
            people = ONE if ever < TWO else max(TWO, in_force.guard)
        # Nobody could sign for the first key that anybody signs with.
        signed = rules.signed and not act.arguments.get(FIRST_KEY, False)
        return Need(people, signed, rules.expires_hours)

    def status(self) -> QuorumStatus:
        file, in_force = self.file(), self.rules()
        looser = file.looser_than(in_force.rules)
        return QuorumStatus(in_force.rules, file, in_force.guard, looser, self._custodians())

    def _custodians(self) -> int:
        """How many people have a custodian's credential that works."""
        now = self.clock.now()
        return len(_people(held for held in self.credentials.custodians() if held.usable(now)))

    def loosening(self) -> Act:
        """Return the act that would put the policy file's rules in force as they are.

        Raises:
            NothingToLoosenError: they are not looser in any point.
        """
        before, file = self.rules(), self.file()
        points = file.looser_than(before.rules)
        if not points:
            raise NothingToLoosenError
        arguments = {
            "number": before.number,
            "before": rules_to_json(before.rules),
            "rules": rules_to_json(file),
            "looser": list(points),
        }
        return Act(ActKind.QUORUM, SUBJECT, arguments)


@dataclass(frozen=True, slots=True)
class LoosenRules:
    """Performs `quorum`: puts looser rules in force, exactly those that were asked for."""

    book: QuorumBook

    def check(self, act: Act) -> str:
        """The state is the number of the rules in force: any change makes another of it."""
        return sha256(f"quorum rules {self.book.in_force().number}".encode()).hexdigest()

    def perform(self, act: Act, *, actor: str) -> Performed:
        """Raises ApprovalStaleError: the rules were changed at this moment."""
        before = self.book.in_force()
        rules = rules_from_json(_mapping(act.arguments["rules"]))
        details = {"loosened": act.arguments["looser"]}
        guard = min(before.guard, rules.largest) if rules.exist else 0
        if before.number != act.arguments["number"] or not self.book.replace(
            before, rules, guard=guard, actor=actor, details=details
        ):
            raise ApprovalStaleError("the quorum rules have changed")
        return Performed(rules, {"rules": rules_to_json(rules)})


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError("not quorum rules")  # our own act, so a bug
    return value


def _people(credentials: Iterable[Credential]) -> frozenset[str]:
    return frozenset(person_key(held.caller.person) for held in credentials)
