"""Approvals, their votes, and the one execution that each may have.

An approval's row is locked (PostgreSQL) or its writer is alone (SQLite) while a vote is
counted, so that of two last votes one sees `pending` and the other what became of it. The
execution is a lease: only `owner` ends it, and when it has run out nobody knows how far the
act has come, which is then the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, bindparam, or_, select, update

from service.domain.approvals import (
    Approval,
    ApprovalState,
    Vote,
    objection,
    person_key,
)
from service.domain.audit import AuditEvent
from service.domain.clock import from_millis, rfc3339
from service.domain.digests import Digest
from service.domain.errors import (
    AlreadyApprovedError,
    ApprovalInterruptedError,
    ApprovalNotPendingError,
    ApproverInvalidError,
    LeaseLostError,
)
from service.domain.pages import Page, PageRequest
from service.store.approval_rows import build, in_state, insert_approval, insert_vote
from service.store.audit import record
from service.store.credentials import credential_from
from service.store.database import Database
from service.store.paging import limit_of, number_after, page_of
from service.store.rows import dump
from service.store.schema import approvals, credentials
from service.store.sql import any_of, database_now

SWEEPER: Final = "sealwright"
"""The actor of what happens because time has passed."""

_STILL_OPEN: Final = (ApprovalState.PENDING.value, ApprovalState.EXECUTING.value)
_BY_ID: Final = select(approvals).where(approvals.c.id == bindparam("id"))
_BY_ID_LOCKED: Final = _BY_ID.with_for_update()
# Shared with a revocation that comes at this moment: one of the two is first.
_HOLDERS: Final = (
    select(credentials).where(any_of(credentials.c.id, "ids")).with_for_update(read=True)
)
_RENEW: Final = (
    update(approvals)
    .where(
        approvals.c.id == bindparam("which"),
        approvals.c.owner == bindparam("holder"),
        approvals.c.state == ApprovalState.EXECUTING.value,
        approvals.c.lease_until >= bindparam("now"),
    )
    .values(lease_until=bindparam("until"))
)
_RUN_OUT: Final = (
    select(approvals.c.id)
    .where(
        or_(
            and_(
                approvals.c.state == ApprovalState.PENDING.value,
                approvals.c.expires_at <= bindparam("now"),
            ),
            and_(
                approvals.c.state == ApprovalState.EXECUTING.value,
                approvals.c.lease_until < bindparam("now"),
            ),
        )
    )
    .with_for_update(skip_locked=True)
)


class StoredApprovalBook:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, approval: Approval) -> None:
        self._database.write(lambda connection: _open(connection, approval))

    def get(self, approval_id: str) -> Approval | None:
        return self._database.read(
            lambda connection: _load(connection, approval_id, database_now(connection))
        )

    def list(
        self, page: PageRequest, *, state: ApprovalState | None, key: str | None
    ) -> Page[Approval]:
        query = select(approvals)
        if key is not None:
            versions = approvals.c.subject.startswith(f"{key}/", autoescape=True)
            query = query.where((approvals.c.subject == key) | versions)
        after = number_after(page)
        if after is not None:
            query = query.where(approvals.c.seq < after)
        query = query.order_by(approvals.c.seq.desc()).limit(limit_of(page) + 1)

        def run(connection: Connection) -> Page[Approval]:
            now = database_now(connection)
            chosen = query if state is None else query.where(in_state(state, now))
            rows = connection.execute(chosen).all()
            built = build(connection, rows, now)
            return page_of(rows, page, lambda row: built[row.id], lambda row: int(row.seq))

        return self._database.read(run)

    def approve(
        self, approval_id: str, vote: Vote, *, owner: str, seconds: float
    ) -> Approval | None:
        def run(connection: Connection) -> Approval | None:
            now = database_now(connection)
            found = _pending(connection, approval_id, now)
            if found is None:
                return None
            found = _counted(connection, found, vote, now)
            if found.missing:
                return found
            against = objection(found, _holders(connection, found), from_millis(now))
            if against is not None:
                return _fail(connection, found, ApproverInvalidError.code, against, now=now)
            _set(
                connection,
                found,
                now=now,
                event=AuditEvent("approval.execution-begun", vote.by.name, found.id, _of(found)),
                state=ApprovalState.EXECUTING.value,
                owner=owner,
                lease_until=now + round(seconds * 1000),
            )
            return replace(found, state=ApprovalState.EXECUTING)

        return self._database.write(run)

    def reject(self, approval_id: str, vote: Vote) -> Approval | None:
        def run(connection: Connection) -> Approval | None:
            now = database_now(connection)
            found = _pending(connection, approval_id, now)
            if found is None:
                return None
            insert_vote(connection, found, vote)
            details = {**_of(found), "person": vote.by.person, "reason": vote.reason}
            event = AuditEvent("approval.rejected", vote.by.name, found.id, details)
            return _end(connection, found, ApprovalState.REJECTED, event, now=now)

        return self._database.write(run)

    def renew(self, approval_id: str, *, owner: str, seconds: float) -> None:
        def run(connection: Connection) -> int:
            now = database_now(connection)
            until = now + round(seconds * 1000)
            values = {"which": approval_id, "holder": owner, "now": now, "until": until}
            return connection.execute(_RENEW, values).rowcount

        if not self._database.write(run):
            raise LeaseLostError

    def executed(self, approval_id: str, *, owner: str, outcome: Mapping[str, object]) -> Approval:
        def end(connection: Connection, found: Approval, now: int) -> Approval:
            details = {**_of(found), "outcome": dict(outcome)}
            event = AuditEvent("approval.executed", _last(found), found.id, details)
            return _end(
                connection,
                found,
                ApprovalState.EXECUTED,
                event,
                now=now,
                outcome=dump(dict(outcome)),
            )

        return self._held(approval_id, owner, end)

    def failed(self, approval_id: str, *, owner: str, code: str, detail: str) -> Approval:
        return self._held(
            approval_id,
            owner,
            lambda connection, found, now: _fail(connection, found, code, detail, now=now),
        )

    def postpone(self, approval_id: str, *, owner: str, code: str) -> None:
        def give_back(connection: Connection, found: Approval, now: int) -> Approval:
            details = {**_of(found), "code": code}
            _set(
                connection,
                found,
                now=now,
                event=AuditEvent("approval.postponed", _last(found), found.id, details),
                state=ApprovalState.PENDING.value,
                owner=None,
                lease_until=0,
                # It may have been found interrupted meanwhile.
                error_code=None,
                error_detail=None,
                ended_at=None,
            )
            return found

        self._held(approval_id, owner, give_back)

    def sweep(self) -> int:
        def run(connection: Connection) -> int:
            now = database_now(connection)
            ids = connection.execute(_RUN_OUT, {"now": now}).scalars().all()
            for approval_id in ids:
                found = _load(connection, approval_id, now)
                if found is None:
                    continue
                if found.state is ApprovalState.EXPIRED:
                    event = AuditEvent("approval.expired", SWEEPER, found.id, _of(found))
                    _end(connection, found, ApprovalState.EXPIRED, event, now=now)
                else:
                    title = ApprovalInterruptedError.title
                    _fail(
                        connection, found, ApprovalInterruptedError.code, title, now=now, by=SWEEPER
                    )
            return len(ids)

        # Most of the time there is nothing, and asking costs no place in the writer's queue.
        waiting = self._database.read(
            lambda connection: connection.execute(
                select(approvals.c.id).where(approvals.c.state.in_(_STILL_OPEN)).limit(1)
            ).first()
        )
        return 0 if waiting is None else self._database.write(run)

    def _held(
        self, approval_id: str, owner: str, end: Callable[[Connection, Approval, int], Approval]
    ) -> Approval:
        """Run `end` on an execution that is `owner`'s.

        One that was found interrupted is still its owner's: nobody else can have executed it,
        and its owner knows better than the clock what became of it.
        """

        def run(connection: Connection) -> Approval:
            row = connection.execute(_BY_ID_LOCKED, {"id": approval_id}).one_or_none()
            if row is None or row.owner != owner or not _is_owned(row):
                raise LeaseLostError
            now = database_now(connection)
            return end(connection, build(connection, [row], now)[approval_id], now)

        return self._database.write(run)


def _is_owned(row: Row[Any]) -> bool:
    interrupted = row.error_code == ApprovalInterruptedError.code
    return bool(interrupted or row.state == ApprovalState.EXECUTING.value)


def _open(connection: Connection, approval: Approval) -> None:
    insert_approval(connection, approval)
    requester = approval.requester
    details = {
        **_of(approval),
        "arguments": dict(approval.act.arguments),
        "document": str(Digest.of(approval.document)),
        "expires_at": rfc3339(approval.expires_at),
        "needed": approval.needed,
        "person": requester.person,
        "role": requester.role,
        "signed": approval.signed,
    }
    event = AuditEvent("approval.requested", requester.name, approval.id, details)
    record(connection, [event], now=database_now(connection))


def _load(connection: Connection, approval_id: str, now: int) -> Approval | None:
    rows = connection.execute(_BY_ID, {"id": approval_id}).all()
    return build(connection, rows, now).get(approval_id)


def _pending(connection: Connection, approval_id: str, now: int) -> Approval | None:
    """Return the approval, its row locked. Raises ApprovalNotPendingError."""
    rows = connection.execute(_BY_ID_LOCKED, {"id": approval_id}).all()
    found = build(connection, rows, now).get(approval_id)
    if found is not None and found.state is not ApprovalState.PENDING:
        raise ApprovalNotPendingError(f"the approval {approval_id} is {found.state}")
    return found


def _counted(connection: Connection, found: Approval, vote: Vote, now: int) -> Approval:
    """Return the approval with the vote. Raises AlreadyApprovedError."""
    mine = person_key(vote.by.person)
    if any(person_key(other.by.person) == mine for other in found.approvals):
        if found.missing:
            raise AlreadyApprovedError(
                f"{vote.by.person} has approved {found.id} already; {found.missing} more needed"
            )
        return found
    insert_vote(connection, found, vote)
    found = replace(found, votes=(*found.votes, vote))
    details = {
        **_of(found),
        "missing": found.missing,
        "person": vote.by.person,
        "reason": vote.reason,
        "signed": vote.signature is not None,
    }
    event = AuditEvent("approval.approved", vote.by.name, found.id, details)
    record(connection, [event], now=now)
    return found


def _holders(connection: Connection, found: Approval) -> Mapping[str, Any]:
    ids = {found.requester.credential_id, *(vote.by.credential_id for vote in found.approvals)}
    rows = connection.execute(_HOLDERS, {"ids": sorted(ids)}).all()
    return {row.id: credential_from(row) for row in rows}


def _fail(
    connection: Connection,
    found: Approval,
    code: str,
    detail: str,
    *,
    now: int,
    by: str | None = None,
) -> Approval:
    details = {**_of(found), "code": code, "detail": detail}
    event = AuditEvent("approval.failed", by or _last(found), found.id, details)
    return _end(
        connection,
        found,
        ApprovalState.FAILED,
        event,
        now=now,
        error_code=code,
        error_detail=detail,
    )


def _end(
    connection: Connection,
    found: Approval,
    state: ApprovalState,
    event: AuditEvent,
    *,
    now: int,
    outcome: str | None = None,
    error_code: str | None = None,
    error_detail: str | None = None,
) -> Approval:
    _set(
        connection,
        found,
        now=now,
        event=event,
        state=state.value,
        ended_at=now,
        outcome=outcome,
        error_code=error_code,
        error_detail=error_detail,
    )
    ended = _load(connection, found.id, now)
    if ended is None:
        raise LookupError(found.id)  # it is locked, and nothing deletes it
    return ended


def _set(
    connection: Connection, found: Approval, *, now: int, event: AuditEvent, **values: object
) -> None:
    connection.execute(update(approvals).where(approvals.c.id == found.id).values(**values))
    record(connection, [event], now=now)


def _of(found: Approval) -> dict[str, object]:
    """What every event of an approval says."""
    return {"act": found.act.kind, "subject": found.act.subject}


def _last(found: Approval) -> str:
    """The name of the credential whose approval set the execution going."""
    return found.approvals[-1].by.name if found.approvals else found.requester.name
