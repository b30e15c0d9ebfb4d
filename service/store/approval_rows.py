"""Approvals and their votes as rows, and what has run out told as what it is by then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, select

from service.domain.acts import Act, ActKind
from service.domain.approvals import (
    Approval,
    ApprovalState,
    Decision,
    Participant,
    Vote,
    person_key,
)
from service.domain.callers import Role
from service.domain.clock import from_millis, to_millis
from service.domain.errors import ApprovalInterruptedError
from service.store.rows import dump
from service.store.schema import approval_votes, approvals
from service.store.sql import any_of

_VOTES: Final = (
    select(approval_votes)
    .where(any_of(approval_votes.c.approval_id, "ids"))
    .order_by(approval_votes.c.seq)
)


def in_state(state: ApprovalState, now: int) -> ColumnElement[bool]:
    """Return the condition under which `build` tells this state."""
    stored = approvals.c.state == state.value
    expired = (approvals.c.state == ApprovalState.PENDING.value) & (approvals.c.expires_at <= now)
    gone = (approvals.c.state == ApprovalState.EXECUTING.value) & (approvals.c.lease_until < now)
    match state:
        case ApprovalState.PENDING:
            return stored & (approvals.c.expires_at > now)
        case ApprovalState.EXECUTING:
            return stored & (approvals.c.lease_until >= now)
        case ApprovalState.EXPIRED:
            return stored | expired
        case ApprovalState.FAILED:
            return stored | gone
        case ApprovalState.EXECUTED | ApprovalState.REJECTED:
            return stored


def _state_of(row: Row[Any], now: int) -> ApprovalState:
    state = ApprovalState(row.state)
    if state is ApprovalState.PENDING and row.expires_at <= now:
        return ApprovalState.EXPIRED
    if state is ApprovalState.EXECUTING and row.lease_until < now:
        return ApprovalState.FAILED
    return state


def insert_approval(connection: Connection, approval: Approval) -> None:
    requester = approval.requester
    connection.execute(
        approvals.insert(),
        {
            "id": approval.id,
            "kind": approval.act.kind.value,
            "subject": approval.act.subject,
            "arguments": dump(dict(approval.act.arguments)),
            "document": approval.document,
            "fingerprint": approval.fingerprint,
            "requester_id": requester.credential_id,
            "requester": requester.name,
            "requester_person": requester.person,
            "requester_role": requester.role.value,
            "needed": approval.needed,
            "signed": approval.signed,
            "state": approval.state.value,
            "lease_until": 0,
            "created_at": to_millis(approval.created_at),
            "expires_at": to_millis(approval.expires_at),
        },
    )


def insert_vote(connection: Connection, found: Approval, vote: Vote) -> None:
    connection.execute(
        approval_votes.insert(),
        {
            "approval_id": found.id,
            "person_key": person_key(vote.by.person),
            "person": vote.by.person,
            "credential_id": vote.by.credential_id,
            "credential": vote.by.name,
            "role": vote.by.role.value,
            "decision": vote.decision.value,
            "reason": vote.reason,
            "signature": vote.signature,
            "ssh_public_key": vote.ssh_public_key,
            "at": to_millis(vote.at),
        },
    )


def build(connection: Connection, rows: Sequence[Row[Any]], now: int) -> dict[str, Approval]:
    """Return the approvals of these rows with their votes, by id."""
    ids = [row.id for row in rows]
    votes: dict[str, list[Vote]] = {approval_id: [] for approval_id in ids}
    if ids:
        for row in connection.execute(_VOTES, {"ids": ids}):
            votes[row.approval_id].append(_vote(row))
    return {row.id: _approval(row, tuple(votes[row.id]), now) for row in rows}


def _vote(row: Row[Any]) -> Vote:
    return Vote(
        by=Participant(row.credential_id, row.credential, row.person, Role(row.role)),
        decision=Decision(row.decision),
        at=from_millis(row.at),
        reason=row.reason,
        signature=row.signature,
        ssh_public_key=row.ssh_public_key,
    )


def _approval(row: Row[Any], votes: tuple[Vote, ...], now: int) -> Approval:
    state = _state_of(row, now)
    run_out = state.value != row.state
    interrupted = run_out and state is ApprovalState.FAILED
    ended = (row.lease_until if interrupted else row.expires_at) if run_out else row.ended_at
    return Approval(
        id=row.id,
        act=Act(ActKind(row.kind), row.subject, orjson.loads(row.arguments)),
        document=row.document,
        fingerprint=row.fingerprint,
        requester=Participant(
            row.requester_id, row.requester, row.requester_person, Role(row.requester_role)
        ),
        needed=row.needed,
        signed=row.signed,
        state=state,
        created_at=from_millis(row.created_at),
        expires_at=from_millis(row.expires_at),
        votes=votes,
        ended_at=None if ended is None else from_millis(ended),
        outcome=None if row.outcome is None else orjson.loads(row.outcome),
        error_code=ApprovalInterruptedError.code if interrupted else row.error_code,
        error_detail=ApprovalInterruptedError.title if interrupted else row.error_detail,
    )
