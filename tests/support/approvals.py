"""Approvals and quorum rules in memory, with the obligations of `service.ports.approvals`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from service.domain.approvals import (
    Approval,
    ApprovalState,
    Vote,
    objection,
    person_key,
)
from service.domain.clock import SystemClock
from service.domain.errors import (
    AlreadyApprovedError,
    ApprovalNotPendingError,
    ApproverInvalidError,
    LeaseLostError,
)
from service.domain.pages import Page, PageRequest
from service.domain.quorum import QuorumRules
from service.ports.approvals import RulesInForce

if TYPE_CHECKING:
    from tests.support.operations import MemoryBook


class MemoryApprovals:
    """One process's: no execution is ever interrupted, and nothing else needs a sweep."""

    def __init__(self, credentials: MemoryBook) -> None:
        self._credentials = credentials
        self._approvals: dict[str, Approval] = {}
        self._owners: dict[str, str] = {}
        self._lock = threading.Lock()

    def open(self, approval: Approval) -> None:
        with self._lock:
            self._approvals[approval.id] = approval

    def get(self, approval_id: str) -> Approval | None:
        found = self._approvals.get(approval_id)
        return None if found is None else _now(found)

    def list(
        self, page: PageRequest, *, state: ApprovalState | None, key: str | None
    ) -> Page[Approval]:
        from tests.support.operations import paged  # noqa: PLC0415 - it imports this module

        chosen = [
            found
            for found in map(_now, reversed(self._approvals.values()))
            if state in {None, found.state} and key in {None, found.act.subject.partition("/")[0]}
        ]
        return paged(chosen, page)

    def approve(
        self, approval_id: str, vote: Vote, *, owner: str, seconds: float
    ) -> Approval | None:
        with self._lock:
            found = self._pending(approval_id)
            if found is None:
                return None
            mine = person_key(vote.by.person)
            if any(person_key(other.by.person) == mine for other in found.approvals):
                if found.missing:
                    raise AlreadyApprovedError
            else:
                found = replace(found, votes=(*found.votes, vote))
            if not found.missing:
                now = SystemClock().now()
                against = objection(found, self._credentials.by_id(), now)
                if against is not None:
                    found = _ended(found, ApprovalState.FAILED, ApproverInvalidError.code, against)
                else:
                    found = replace(found, state=ApprovalState.EXECUTING)
                    self._owners[approval_id] = owner
            self._approvals[approval_id] = found
            return found

    def reject(self, approval_id: str, vote: Vote) -> Approval | None:
        with self._lock:
            found = self._pending(approval_id)
            if found is None:
                return None
            found = _ended(replace(found, votes=(*found.votes, vote)), ApprovalState.REJECTED)
            self._approvals[approval_id] = found
            return found

    def renew(self, approval_id: str, *, owner: str, seconds: float) -> None:
        self._held(approval_id, owner)

    def executed(self, approval_id: str, *, owner: str, outcome: Mapping[str, object]) -> Approval:
        found = _ended(self._held(approval_id, owner), ApprovalState.EXECUTED)
        self._approvals[approval_id] = found = replace(found, outcome=outcome)
        return found

    def failed(self, approval_id: str, *, owner: str, code: str, detail: str) -> Approval:
        held = self._held(approval_id, owner)
        found = self._approvals[approval_id] = _ended(held, ApprovalState.FAILED, code, detail)
        return found

    def postpone(self, approval_id: str, *, owner: str, code: str) -> None:
        held = self._held(approval_id, owner)
        self._approvals[approval_id] = replace(held, state=ApprovalState.PENDING)

    def sweep(self) -> int:
        return 0

    def _pending(self, approval_id: str) -> Approval | None:
        found = self.get(approval_id)
        if found is not None and found.state is not ApprovalState.PENDING:
            raise ApprovalNotPendingError(f"the approval {approval_id} is {found.state}")
        return found

    def _held(self, approval_id: str, owner: str) -> Approval:
        found = self._approvals[approval_id]
        if found.state is not ApprovalState.EXECUTING or self._owners[approval_id] != owner:
            raise LeaseLostError
        return found


def _now(found: Approval) -> Approval:
    if found.state is ApprovalState.PENDING and found.expires_at <= SystemClock().now():
        return replace(found, state=ApprovalState.EXPIRED, ended_at=found.expires_at)
    return found


def _ended(
    found: Approval, state: ApprovalState, code: str | None = None, detail: str | None = None
) -> Approval:
    return replace(
        found,
        state=state,
        ended_at=SystemClock().now(),
        error_code=code,
        error_detail=detail,
    )


class MemoryQuorum:
    def __init__(self) -> None:
        self.history: list[RulesInForce] = []

    def in_force(self) -> RulesInForce:
        return self.history[-1] if self.history else RulesInForce(0, QuorumRules())

    def replace(
        self,
        before: RulesInForce,
        rules: QuorumRules,
        *,
        guard: int,
        actor: str,
        details: Mapping[str, object],
    ) -> bool:
        if before.number != len(self.history):
            return False
        self.history.append(RulesInForce(before.number + 1, rules, guard))
        return True
