"""Step 9: the outcome of up to a thousand intents, in one transaction and few statements.

1. Lock the intents, and see which are still held by the caller.
2. Lock the key versions in share mode, so that a suspension comes wholly before or after.
3. See what stands already. What may not be recorded is discarded, and its intent says so.
4. Insert the signatures. The unique index on standing statements decides a race; the loser
   is answered with what the winner made.
5. Log entries, audit events, attachments and their orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from service.store.audit import record, record_framed
from service.store.bulk import BulkInsert
from service.store.drafts import Draft, Share
from service.store.fast import rows
from service.store.orders import Place, attach_again, attach_new, place, place_of
from service.store.rows import SIGNATURES, STATEMENT_COLUMNS, payload_sha256, signature_from
from service.store.schema import OPEN, STANDING, intents, key_versions, log_entries, signatures
from service.store.sql import any_of, database_now, now_ms

_PENDING: Final = Attachment(AttachmentState.PENDING)
FORCE_ROUNDS: Final = 8  # in each of them another caller's `force` must have come in between

_LOCK_INTENTS: Final = (
    select(intents.c.id, intents.c.owner, intents.c.seq, now_ms().label("now"))
    .where(any_of(intents.c.id, "ids"), OPEN, intents.c.lease_until >= now_ms())
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
_DONE: Final = update(intents).where(any_of(intents.c.seq, "numbers")).values(state="done")
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
    accepted: dict[str, Draft] = field(default_factory=dict)
    standing: dict[str, Signature] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """Of the intents that are held, by id."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What the transaction has decided for one share; `batch` may be that of several."""

    batch: _Batch
    orders: Mapping[Place, Order]


def complete(connection: Connection, shares: Sequence[Share]) -> Sequence[Settled]:
    """Settle all shares; several only if each of them `may_join_others`."""
    drafts = [made for share in shares for made in share.drafts]
    batch = _check(connection, shares)
    _settle(connection, drafts, batch)
    for share in shares:
        _discard(connection, share, batch)
    _close(connection, batch)
    return [Settled(batch, _order(connection, share, batch)) for share in shares]


def complete_one(share: Share, connection: Connection) -> Settled:
    return complete(connection, (share,))[0]


def answers(share: Share, settled: Settled) -> Sequence[Completed]:
    """Return the answers of one share, once its transaction has been committed."""
    made = settled.batch.accepted
    return [_answer(each.outcome, made, settled) for each in share.drafts]


def _check(connection: Connection, shares: Sequence[Share]) -> _Batch:
    """Steps 1 and 2."""
    ids = [made.outcome.intent.id for share in shares for made in share.drafts]
    locked = rows(connection, _LOCK_INTENTS, {"ids": ids})
    held = {(row.owner, row.id): row.seq for row in locked}
    names = {made.outcome.intent.statement.key for share in shares for made in share.drafts}
    active = {tuple(row) for row in rows(connection, _LOCK_VERSIONS, {"keys": sorted(names)})}
    batch = _Batch(locked[0].now if locked else database_now(connection))
    for share in shares:
        for made in share.drafts:
            intent = made.outcome.intent
            statement = intent.statement
            number = held.get((share.owner, intent.id))
            if number is None:
                batch.refused[intent.id] = LeaseLostError()
            elif (statement.key, statement.version) not in active:
                batch.refused[intent.id] = LeaseLostError("the key version is not active now")
            else:
                batch.numbers[intent.id] = number
    return batch


def _settle(connection: Connection, drafts: Sequence[Draft], batch: _Batch) -> None:
    """Steps 3 and 4: which outcome stands for each statement, ours or another's."""
    wanted: dict[str, Draft] = {}
    for made in drafts:
        intent = made.outcome.intent
        if intent.id not in batch.refused:
            # Two items of one call may say the same; the first speaks for both.
            wanted.setdefault(intent.statement_hash, made)
    for _ in range(FORCE_ROUNDS):
        if not wanted:
            return
        _make_way(connection, wanted, batch)
        inserted = _insert(connection, list(wanted.values()), batch.now)
        for statement, made in list(wanted.items()):
            if made.outcome.signature_id in inserted:
                batch.accepted[statement] = wanted.pop(statement)
    if wanted:
        raise StoreUnavailableError("others keep replacing the same signature", retry_after=1.0)


def _make_way(connection: Connection, wanted: dict[str, Draft], batch: _Batch) -> None:
    """Take from `wanted` what stands already; with `force` it is that which stands no longer."""
    forced = []
    for row in rows(connection, _STANDING, {"hashes": list(wanted)}):
        if wanted[row.statement_hash].outcome.force:
            forced.append(row.statement_hash)
        else:
            batch.standing[row.statement_hash] = signature_from(row)
            del wanted[row.statement_hash]
    if forced:
        connection.execute(_GIVE_WAY, {"hashes": forced})


def _insert(connection: Connection, drafts: Sequence[Draft], now: int) -> set[str]:
    """Insert what no concurrent transaction has beaten; return the ids that are in."""
    ids = {made.outcome.signature_id for made in drafts}
    if connection.dialect.name != "postgresql":
        _INSERT.tuples(connection, [(*made.row, now) for made in drafts])
        return ids
    # In one order everywhere: callers that race for the same statements must not deadlock.
    ordered = sorted(drafts, key=lambda made: made.outcome.intent.statement_hash)
    _INSERT.tuples(connection, [(*made.row, now) for made in ordered])
    return set(connection.execute(_INSERTED, {"ids": sorted(ids)}).scalars())


def _discard(connection: Connection, share: Share, batch: _Batch) -> None:
    """End the intents whose signatures nobody gets: the HSM's own count must still add up."""
    accepted = batch.accepted
    discarded, events = [], []
    for made in share.drafts:
        intent = made.outcome.intent
        refusal = batch.refused.get(intent.id)
        if refusal is not None:
            answer, why = None, refusal.code
        else:
            stands = accepted.get(intent.statement_hash)
            if stands is made:
                continue
            answer = stands.outcome.signature_id if stands else _standing(intent, batch).id
            why = "another-stands"
        discarded.append({"intent": intent.id, "holder": share.owner, "why": why, "answer": answer})
        events.append(_discarded_event(made.outcome, why))
    if discarded:
        connection.execute(_DISCARD, discarded)
        record(connection, events, now=batch.now)


def _standing(intent: Intent, batch: _Batch) -> Signature:
    return batch.standing[intent.statement_hash]


def _close(connection: Connection, batch: _Batch) -> None:
    """The intents' ends, the log entries and the audit events of what was accepted."""
    accepted = batch.accepted.values()
    if not accepted:
        return
    done = [batch.numbers[made.outcome.intent.id] for made in accepted]
    rows(connection, _DONE, {"numbers": done})
    _INSERT_ENTRIES.tuples(
        connection, [(made.outcome.signature_id, made.outcome.log_entry) for made in accepted]
    )
    record_framed(connection, [made.event for made in accepted], now=batch.now)


def _order(connection: Connection, share: Share, batch: _Batch) -> Mapping[Place, Order]:
    """Order the attachments; return the orders whose lease came with it, by place."""
    subjects: dict[Place, Descriptor] = {}
    new: dict[str, Place] = {}
    again: dict[str, Place] = {}
    for made in share.drafts:
        intent = made.outcome.intent
        wanted = _wanted(intent)
        if wanted is None or intent.id in batch.refused:
            continue
        where, subject = wanted
        chosen = batch.accepted.get(intent.statement_hash)
        if chosen is not None:
            new[chosen.outcome.signature_id] = where
        else:
            stands = _standing(intent, batch)
            # Whoever made it has ordered its attachment already, or never wanted one.
            if stands.attachment.state not in (AttachmentState.NONE, AttachmentState.FAILED):
                continue
            again[stands.id] = where
        subjects[where] = subject
    if not subjects:
        return {}
    placed = place(
        connection, subjects, owner=share.owner, seconds=share.order_seconds, now=batch.now
    )
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


def _answer(outcome: Outcome, accepted: Mapping[str, Draft], settled: Settled) -> Completed:
    intent = outcome.intent
    refusal = settled.batch.refused.get(intent.id)
    if refusal is not None:
        return Completed(error=refusal)
    made = accepted.get(intent.statement_hash)
    signature = (
        _standing(intent, settled.batch)
        if made is None
        else _signature(made.outcome, settled.batch.now)
    )
    wanted = _wanted(intent)
    order = None if wanted is None else settled.orders.get(wanted[0])
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
        chain=outcome.chain,
        attachment=_PENDING if _wanted(intent) else NOT_ATTACHED,
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
