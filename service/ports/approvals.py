"""Obligations of the store towards approvals and quorum rules.

Every method that changes something is one transaction together with its audit event, as in
`service.ports.store`; the same may raise StoreUnavailableError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from service.domain.approvals import Approval, ApprovalState, Vote
from service.domain.pages import Page, PageRequest
from service.domain.quorum import QuorumRules


class ApprovalBook(Protocol):
    """Requests for acts, votes on them, and the one execution that each may have.

    What has run out by the database's clock is told as `expired`, or as `failed` where the
    process that executed it has gone, from that moment on and whether or not `sweep` has
    passed: nothing can be approved or executed that has run out.
    """

    def open(self, approval: Approval) -> None:
        """Record a request."""
        ...

    def get(self, approval_id: str) -> Approval | None: ...

    def list(
        self, page: PageRequest, *, state: ApprovalState | None, key: str | None
    ) -> Page[Approval]:
        """Newest first. `key`: only those whose subject is that key, or a version of it."""
        ...

    def approve(
        self, approval_id: str, vote: Vote, *, owner: str, seconds: float
    ) -> Approval | None:
        """Count the vote; with the last one, give the execution to `owner` for `seconds`.

        The answer's state is `executing` only if `owner` holds it and is now to perform the
        act, and `failed` if somebody who counted does not count any more: each credential
        that asked or approved must still work, with the same role and person, the vote's own
        included. A person who has approved already may ask again for the execution of what
        has all its people (`postpone`). None if there is no such approval.

        Raises:
            ApprovalNotPendingError, AlreadyApprovedError.
        """
        ...

    def reject(self, approval_id: str, vote: Vote) -> Approval | None:
        """One rejection ends it.

        Raises:
            ApprovalNotPendingError.
        """
        ...

    def renew(self, approval_id: str, *, owner: str, seconds: float) -> None:
        """Extend the execution that `owner` holds."""
        ...

    def executed(self, approval_id: str, *, owner: str, outcome: Mapping[str, object]) -> Approval:
        """End an execution that `owner` holds, or held when nobody else could have.

        Raises:
            LeaseLostError: it is not `owner`'s.
        """
        ...

    def failed(self, approval_id: str, *, owner: str, code: str, detail: str) -> Approval:
        """As `executed`, for an act that was not done and never will be by this request."""
        ...

    def postpone(self, approval_id: str, *, owner: str, code: str) -> None:
        """Give the execution back: it was not done for a passing reason, and may be tried again."""
        ...

    def sweep(self) -> int:
        """Put on record what has run out; return how many that were."""
        ...


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """`number` counts the changes, from 0 where there never was a rule.

    `guard` is how many people the quorum's own guard asks for.
    """

    number: int
    rules: QuorumRules
    guard: int = 0


class QuorumBook(Protocol):
    def in_force(self) -> RulesInForce: ...

    def replace(
        self,
        before: RulesInForce,
        rules: QuorumRules,
        *,
        guard: int,
        actor: str,
        details: Mapping[str, object],
    ) -> bool:
        """Put `rules` and `guard` in force in place of `before`; False if those are not in force any more."""
        ...
