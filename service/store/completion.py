"""Step 9: the outcome of up to a thousand intents, in one transaction and few statements.

1. Lock the intents, and see which are still held by the caller.
2. Lock the key versions in share mode, so that a suspension comes wholly before or after.
3. See what stands already. What may not be recorded is discarded, and its intent says so.
4. Insert the signatures. The unique index on standing statements decides a race; the loser
   is answered with what the winner made.
5. Log entries, audit events, attachments and their orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, bindparam, false, select, update

from service.domain.audit import AuditEvent
from service.domain.clock import from_millis
from service.domain.digests import Descriptor
from service.domain.errors import LeaseLostError, ServiceError, StoreUnavailableError
from service.domain.keys import KeyState
from service.domain.outbox import Order
from service.domain.signing import (
    NOT_ATTACHED,
    Attachment,
    AttachmentState,
    Intent,
    Outcome,
    Signature,
)
from service.ports.store import Completed
from service.store.audit import record
from service.store.bulk import BulkInsert
from service.store.orders import Place, attach_again, attach_new, place, place_of
from service.store.rows import (
    SIGNATURES,
    STATEMENT_COLUMNS,
    payload_sha256,
    signature_from,
    statement_values,
)
from service.store.schema import OPEN, STANDING, intents, key_versions, log_entries, signatures
from service.store.sql import any_of, now_ms

FORCE_ROUNDS: Final = 8  # in each of them another caller's `force` must have come in between

_LOCK_INTENTS: Final = (
    select(intents.c.id, intents.c.owner, intents.c.state, intents.c.lease_until, now_ms())
    .where(any_of(intents.c.id, "ids"))
    .order_by(intents.c.id)
    .with_for_update()
)
_LOCK_VERSIONS: Final = (
    select(key_versions.c.key, key_versions.c.version)
    .where(any_of(key_versions.c.key, "keys"), key_versions.c.state == KeyState.ACTIVE.value)
    .order_by(key_versions.c.key, key_versions.c.version)
    .with_for_update(read=True)
)
_STANDING: Final = SIGNATURES.where(any_of(signatures.c.statement_hash, "hashes"), STANDING)
_GIVE_WAY: Final = (
    update(signatures)
    .where(any_of(signatures.c.statement_hash, "hashes"), STANDING)
    .values(standing=false())
)
_INSERT: Final = BulkInsert(
    signatures,
    (
        "id",
        "intent_id",
        "standing",
        *STATEMENT_COLUMNS,
        "payload",
        "signature",
        "credential_id",
        "created_at",
    ),
    unless=("statement_hash",),
    unless_where=STANDING,
)
_INSERTED: Final = select(signatures.c.id).where(any_of(signatures.c.id, "ids"))
_INSERT_ENTRIES: Final = BulkInsert(log_entries, ("signature_id", "entry"))
_DONE: Final = update(intents).where(any_of(intents.c.id, "ids")).values(state="done")
_DISCARD: Final = (
    update(intents)
    .where(
        intents.c.id == bindparam("intent"),
        intents.c.owner == bindparam("holder"),
        OPEN,
    )
    .values(state="discarded", reason=bindparam("why"), answered_with=bindparam("answer"))
)


@dataclass(slots=True)
class _Batch:
    """What has been decided so far. `accepted` is by statement hash: one can stand."""

    now: int
    refused: dict[str, ServiceError] = field(default_factory=dict)
    """By intent."""
    accepted: dict[str, Outcome] = field(default_factory=dict)
    standing: dict[str, Signature] = field(default_factory=dict)


def complete(
    outcomes: Sequence[Outcome], connection: Connection, *, owner: str, order_seconds: float
) -> Sequence[Completed]:
    batch = _check(connection, outcomes, owner=owner)
    _settle(connection, outcomes, batch)
    made = {
        statement: _signature(outcome, batch.now) for statement, outcome in batch.accepted.items()
    }
    _close(connection, outcomes, batch, made, owner=owner)
    orders = _order(connection, outcomes, batch, owner=owner, seconds=order_seconds)
    return [_answer(outcome, batch, made, orders) for outcome in outcomes]


def _check(connection: Connection, outcomes: Sequence[Outcome], *, owner: str) -> _Batch:
    """Steps 1 and 2."""
    ids = [outcome.intent.id for outcome in outcomes]
    rows = connection.execute(_LOCK_INTENTS, {"ids": ids}).all()
    now = max((row[4] for row in rows), default=0)
    held = {
        row.id
        for row in rows
        if row.owner == owner and row.state == "open" and row.lease_until >= now
    }
    names = sorted({outcome.intent.statement.key for outcome in outcomes})
    active = {tuple(row) for row in connection.execute(_LOCK_VERSIONS, {"keys": names})}
    batch = _Batch(now)
    for outcome in outcomes:
        statement = outcome.intent.statement
        if outcome.intent.id not in held:
            batch.refused[outcome.intent.id] = LeaseLostError()
        elif (statement.key, statement.version) not in active:
            batch.refused[outcome.intent.id] = LeaseLostError("the key version is not active now")
    return batch


def _settle(connection: Connection, outcomes: Sequence[Outcome], batch: _Batch) -> None:
    """Steps 3 and 4: which outcome stands for each statement, ours or another's."""
    wanted: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.intent.id not in batch.refused:
            # Two items of one call may say the same; the first speaks for both.
            wanted.setdefault(outcome.intent.statement_hash, outcome)
    for _ in range(FORCE_ROUNDS):
        if not wanted:
            return
        _make_way(connection, wanted, batch)
        inserted = _insert(connection, list(wanted.values()), batch.now)
        for statement, outcome in list(wanted.items()):
            if outcome.signature_id in inserted:
                batch.accepted[statement] = wanted.pop(statement)
    if wanted:
        raise StoreUnavailableError("others keep replacing the same signature", retry_after=1.0)


def _make_way(connection: Connection, wanted: dict[str, Outcome], batch: _Batch) -> None:
    """Take from `wanted` what stands already; with `force` it is that which stands no longer."""
    forced = []
    for row in connection.execute(_STANDING, {"hashes": list(wanted)}):
        if wanted[row.statement_hash].force:
            forced.append(row.statement_hash)
        else:
            batch.standing[row.statement_hash] = signature_from(row)
            del wanted[row.statement_hash]
    if forced:
        connection.execute(_GIVE_WAY, {"hashes": forced})


def _insert(connection: Connection, outcomes: Sequence[Outcome], now: int) -> set[str]:
    """Insert what no concurrent transaction has beaten; return the ids that are in."""
    rows = [
        {
            "id": outcome.signature_id,
            "intent_id": outcome.intent.id,
            "standing": True,
            **statement_values(outcome.intent),
            "payload": outcome.intent.payload,
            "signature": outcome.signature,
            "credential_id": outcome.intent.credential_id,
            "created_at": now,
        }
        for outcome in outcomes
    ]
    ids = {outcome.signature_id for outcome in outcomes}
    if connection.dialect.name != "postgresql":
        _INSERT(connection, rows)
        return ids
    # In one order everywhere: callers that race for the same statements must not deadlock.
    _INSERT(connection, sorted(rows, key=lambda row: str(row["statement_hash"])))
    return set(connection.execute(_INSERTED, {"ids": sorted(ids)}).scalars())


def _close(
    connection: Connection,
    outcomes: Sequence[Outcome],
    batch: _Batch,
    made: Mapping[str, Signature],
    *,
    owner: str,
) -> None:
    """The intents' ends, the log entries and the audit events."""
    accepted = batch.accepted
    discarded = []
    events = [_made_event(outcome) for outcome in accepted.values()]
    for outcome in outcomes:
        intent = outcome.intent
        refusal = batch.refused.get(intent.id)
        if refusal is not None:
            answer, why = None, refusal.code
        elif accepted.get(intent.statement_hash) is outcome:
            continue
        else:
            stands = made.get(intent.statement_hash) or batch.standing[intent.statement_hash]
            answer, why = stands.id, "another-stands"
        discarded.append({"intent": intent.id, "holder": owner, "why": why, "answer": answer})
        events.append(_discarded_event(outcome, why))
    if accepted:
        done = [outcome.intent.id for outcome in accepted.values()]
        connection.execute(_DONE, {"ids": done})
        _INSERT_ENTRIES(
            connection,
            [
                {"signature_id": outcome.signature_id, "entry": outcome.log_entry}
                for outcome in accepted.values()
            ],
        )
    if discarded:
        connection.execute(_DISCARD, discarded)
    record(connection, events, now=batch.now)


def _order(
    connection: Connection,
    outcomes: Iterable[Outcome],
    batch: _Batch,
    *,
    owner: str,
    seconds: float,
) -> Mapping[Place, Order]:
    """Order the attachments; return the orders whose lease came with it, by place."""
    subjects: dict[Place, Descriptor] = {}
    new: dict[str, Place] = {}
    again: dict[str, Place] = {}
    for outcome in outcomes:
        intent = outcome.intent
        wanted = _wanted(intent)
        if wanted is None or intent.id in batch.refused:
            continue
        where, subject = wanted
        chosen = batch.accepted.get(intent.statement_hash)
        if chosen is not None:
            new[chosen.signature_id] = where
        else:
            stands = batch.standing[intent.statement_hash]
            # Whoever made it has ordered its attachment already, or never wanted one.
            if stands.attachment.state not in (AttachmentState.NONE, AttachmentState.FAILED):
                continue
            again[stands.id] = where
        subjects[where] = subject
    if not subjects:
        return {}
    placed = place(connection, subjects, owner=owner, seconds=seconds, now=batch.now)
    if new:
        wishes = [(signature, placed.numbers[where]) for signature, where in new.items()]
        attach_new(connection, wishes, now=batch.now)
    if again:
        wishes = [(signature, placed.numbers[where]) for signature, where in again.items()]
        attach_again(connection, wishes, now=batch.now)
    return placed.granted


def _wanted(intent: Intent) -> tuple[Place, Descriptor] | None:
    """Return where the intent's signature is to be attached, and to what."""
    if intent.attach is None or intent.subject is None:
        return None
    statement = intent.statement
    where = place_of(intent.attach, str(statement.repository), statement.digest.hex)
    return where, intent.subject


def _answer(
    outcome: Outcome,
    batch: _Batch,
    made: Mapping[str, Signature],
    orders: Mapping[Place, Order],
) -> Completed:
    intent = outcome.intent
    refusal = batch.refused.get(intent.id)
    if refusal is not None:
        return Completed(error=refusal)
    signature = made.get(intent.statement_hash) or batch.standing[intent.statement_hash]
    wanted = _wanted(intent)
    order = None if wanted is None else orders.get(wanted[0])
    return Completed(signature=signature, order=order)


def _signature(outcome: Outcome, now: int) -> Signature:
    intent = outcome.intent
    return Signature(
        id=outcome.signature_id,
        statement=intent.statement,
        scheme=intent.scheme,
        payload=intent.payload,
        signature=outcome.signature,
        log_entry=outcome.log_entry,
        created_at=from_millis(now),
        credential_id=intent.credential_id,
        public_key=intent.public_key,
        attachment=Attachment(AttachmentState.PENDING) if _wanted(intent) else NOT_ATTACHED,
    )


def _made_event(outcome: Outcome) -> AuditEvent:
    statement = outcome.intent.statement
    return AuditEvent(
        action="signature.made",
        actor=outcome.intent.credential_id,
        subject=outcome.signature_id,
        details={
            "annotations": statement.annotations,
            "digest": str(statement.digest),
            "forced": outcome.force,
            "format": statement.format,
            "identity": statement.identity,
            "intent": outcome.intent.id,
            "key": statement.key,
            "payload_sha256": payload_sha256(outcome.intent),
            "repository": str(statement.repository),
            "request": outcome.intent.request_id,
            "scheme": outcome.intent.scheme,
            "statement": outcome.intent.statement_hash,
            "version": statement.version,
        },
    )


def _discarded_event(outcome: Outcome, why: str) -> AuditEvent:
    """The HSM has made a signature that nobody gets: its own count must still add up."""
    intent = outcome.intent
    return AuditEvent(
        action="signature.discarded",
        actor=intent.credential_id,
        subject=intent.id,
        details={
            "key": intent.statement.key,
            "payload_sha256": payload_sha256(intent),
            "reason": why,
            "request": intent.request_id,
            "statement": intent.statement_hash,
            "version": intent.statement.version,
        },
    )
