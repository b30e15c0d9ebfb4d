"""The signing cycle (docs/signing-cycle.md): the numbers here are the numbers there.

1. Authenticate: done at the edge, which hands over the caller.
2. Decide by policy. 3. Resolve. 4. Check the key's conditions. 5. Fix the bytes.
6. Commit the intent. 7. Sign in the HSM. 8. Verify in software. 9. Commit the outcome.
10. Integrate the log entry. 11. Attach. 12. Answer.

Items fail alone. Nothing leaves before step 9 has committed; what dies between 7 and 9 is
an intent without an outcome, which the record shows and nobody signs again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.domain.errors import (
    ForbiddenError,
    HSMUnavailableError,
    PolicyDeniedError,
    ServiceError,
    StoreUnavailableError,
)
from service.domain.ids import new_id
from service.domain.keys import KeyVersion, Scheme
from service.domain.limits import INTENT_LEASE_SECONDS, MAX_REFERENCE_CHARS, ORDER_LEASE_SECONDS
from service.domain.outbox import Order
from service.domain.signing import (
    Artifact,
    Intent,
    Outcome,
    Signature,
    SignedItem,
    SigningRequest,
)
from service.operations.attach import AttachRecorded
from service.operations.prepare import Prepared, PrepareItems, Unit
from service.operations.renewal import LeaseRenewer
from service.operations.replay import Replays
from service.ports.formats import SignatureFormat
from service.ports.hsm import Signer, ToSign
from service.ports.steps import StepObserver
from service.ports.store import AuditTrail, Completed, IdempotentRequest, SigningJournal

_DENIALS: Final = (PolicyDeniedError, ForbiddenError)


@dataclass(frozen=True, slots=True)
class SignImages:
    prepare: PrepareItems
    journal: SigningJournal
    signer: Signer
    formats: Mapping[str, SignatureFormat]
    audit: AuditTrail
    attach: AttachRecorded
    replays: Replays
    renewer: LeaseRenewer
    steps: StepObserver

    def __call__(
        self,
        caller: Caller,
        request: SigningRequest,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> tuple[SignedItem, ...]:
        """Sign each image of the request and answer in its order.

        Raises:
            ForbiddenError, KeyNotNamedError, KeyNotUsableError, UnsupportedFormatError,
            InvalidRequestError: about the request as a whole.
            IdempotencyKeyReusedError, RequestInProgressError: about the Idempotency-Key.
            StoreUnavailableError: nothing was signed, or nothing of it leaves.
        """
        owner = new_id("own")
        if idempotency_key is None:
            return self._run(caller, request, owner=owner, held=None)
        with self.replays.holding(
            caller, idempotency_key, body_hash=body_hash, owner=owner
        ) as replay:
            items = self._run(caller, request, owner=owner, held=replay.request)
            replay.results = items
            return items

    def artifact(self, signature: Signature) -> Artifact:
        """Return what a caller who attaches by itself must push."""
        statement = signature.statement
        return self.formats[statement.format].artifact(statement.digest, [signature])

    def _run(
        self,
        caller: Caller,
        request: SigningRequest,
        *,
        owner: str,
        held: IdempotentRequest | None,
    ) -> tuple[SignedItem, ...]:
        request_id = held.id if held is not None else new_id("req")
        earlier = self.replays.earlier(held, len(request.images))
        # (2) to (5); an item that an earlier run has ended for good is only authorised again.
        prepared = self.prepare(caller, request, settled=earlier.keys())
        self._audit_denials(caller, prepared)
        self.steps.reached(5)
        units = [unit for item in prepared for unit in item.units]
        made = self._standing(units, request, request_id=request_id, replayed=held is not None)
        wanted = [unit for unit in units if unit not in made]
        orders: dict[Order, list[Signature]] = {}
        if wanted:
            outcomes = self._sign(wanted, caller, request, owner=owner, request_id=request_id)
            for unit, completed in zip(wanted, outcomes, strict=True):
                if completed.signature is not None:
                    made[unit] = completed.signature
                    if completed.order is not None:
                        orders.setdefault(completed.order, []).append(completed.signature)
                elif completed.error is not None:
                    made[unit] = completed.error
        # (10) comes with the log. (11) Attach, or leave it to the outbox.
        attached = self.attach(
            made, orders, owner=owner, wanted=request.attach, ordered_in_step_9=set(wanted)
        )
        # (12) Answer in the caller's order.
        answer = tuple(
            earlier[item.index]
            if item.index in earlier and item.error is None
            else _answer(item, attached)
            for item in prepared
        )
        self.steps.reached(12)
        return answer

    def _audit_denials(self, caller: Caller, prepared: Sequence[Prepared]) -> None:
        denied = [item for item in prepared if isinstance(item.error, _DENIALS)]
        if denied:
            self.audit.append(
                [
                    AuditEvent(
                        "signature.denied",
                        caller.name,
                        item.shown[:MAX_REFERENCE_CHARS],
                        {"code": item.error.code, "reasons": list(item.error.reasons)},
                    )
                    for item in denied
                    if isinstance(item.error, _DENIALS)
                ]
            )

    def _standing(
        self, units: Sequence[Unit], request: SigningRequest, *, request_id: str, replayed: bool
    ) -> dict[Unit, Signature | ServiceError]:
        """Return what need not be signed again.

        A statement that stands is answered with its signature. With `force` only what this
        very request has made before counts: a run that died between step 9 and its answer.
        """
        made: dict[Unit, Signature | ServiceError] = {}
        if replayed:
            before = self.journal.made_for_request(request_id)
            for unit in units:
                found = before.get((unit.item, unit.statement_hash))
                if found is not None:
                    made[unit] = found
        if not request.force and units:
            standing = self.journal.standing([u.statement_hash for u in units if u not in made])
            for unit in units:
                if unit not in made and unit.statement_hash in standing:
                    made[unit] = standing[unit.statement_hash]
        return made

    def _sign(
        self,
        units: Sequence[Unit],
        caller: Caller,
        request: SigningRequest,
        *,
        owner: str,
        request_id: str,
    ) -> Sequence[Completed]:
        """Steps 6 to 9 for units that nothing stands for, answered in their order."""
        intents = [_intent(unit, caller, request, request_id) for unit in units]
        # (6) If we die after (7), there is a record of what was about to be signed.
        self.journal.intend(intents, owner=owner, seconds=INTENT_LEASE_SECONDS)
        self.steps.reached(6)
        renew = partial(self.journal.renew, request_id, owner=owner, seconds=INTENT_LEASE_SECONDS)
        with self.renewer.holding(renew, every=INTENT_LEASE_SECONDS / 3):
            # (7) Sign, and (8) verify each signature before it is believed.
            signatures = self._sign_and_verify(units)
            outcomes: list[Outcome] = []
            failures: dict[int, ServiceError] = {}
            for number, (unit, intent, result) in enumerate(
                zip(units, intents, signatures, strict=True)
            ):
                if isinstance(result, ServiceError):
                    failures[number] = result
                    continue
                entry = self.formats[unit.statement.format].log_entry(
                    unit.payload, result, unit.version.public_key
                )
                outcomes.append(Outcome(intent, new_id("sig"), result, entry, force=request.force))
            # (9) Only now may it leave.
            committed = iter(
                self.journal.complete(
                    outcomes, owner=owner, order_lease_seconds=ORDER_LEASE_SECONDS
                )
                if outcomes
                else ()
            )
        self._abandon(intents, failures, owner=owner)
        self.steps.reached(9)
        return [
            Completed(error=failures[number]) if number in failures else next(committed)
            for number in range(len(units))
        ]

    def _sign_and_verify(self, units: Sequence[Unit]) -> Sequence[bytes | ServiceError]:
        """Steps 7 and 8, one call of the signer for each key version and scheme."""
        results: list[bytes | ServiceError | None] = [None] * len(units)
        groups: dict[tuple[KeyVersion, Scheme], list[int]] = {}
        for number, unit in enumerate(units):
            groups.setdefault((unit.version, unit.scheme), []).append(number)
        for (version, scheme), numbers in groups.items():
            items = [ToSign(units[n].payload, self._check(units[n])) for n in numbers]
            try:
                signed = self.signer.sign(version, scheme, items)
            except ServiceError as error:
                signed = [error] * len(items)
            for number, result in zip(numbers, signed, strict=True):
                results[number] = result
        return [
            r if r is not None else HSMUnavailableError("the signer gave no answer")
            for r in results
        ]

    def _check(self, unit: Unit) -> partial[None]:
        return partial(
            _check_signature, self.formats[unit.statement.format], unit, steps=self.steps
        )

    def _abandon(
        self, intents: Sequence[Intent], failures: Mapping[int, ServiceError], *, owner: str
    ) -> None:
        """Close the intents that certainly came to nothing; what failed here stays unknown."""
        by_code: dict[str, list[str]] = {}
        for number, error in failures.items():
            by_code.setdefault(error.code, []).append(intents[number].id)
        for code, ids in by_code.items():
            try:
                self.journal.abandon(ids, owner=owner, reason=code)
            except StoreUnavailableError:
                # They show up as outcome-unknown, which is the truth as far as it is known.
                return


def _check_signature(
    form: SignatureFormat, unit: Unit, signature: bytes, *, steps: StepObserver
) -> None:
    steps.reached(7)
    # (8) Against the pinned public key and the item's own digest, by the format's rules.
    form.check(
        unit.payload,
        signature,
        digest=unit.statement.digest,
        public_key=unit.version.public_key,
        scheme=unit.scheme,
    )
    steps.reached(8)


def _intent(unit: Unit, caller: Caller, request: SigningRequest, request_id: str) -> Intent:
    return Intent(
        id=new_id("int"),
        request_id=request_id,
        item=unit.item,
        statement=unit.statement,
        statement_hash=unit.statement_hash,
        scheme=unit.scheme,
        payload=unit.payload,
        public_key=unit.version.public_key,
        credential_id=caller.credential_id,
        attach=request.attach,
    )


def _answer(item: Prepared, made: Mapping[Unit, Signature | ServiceError]) -> SignedItem:
    answer = SignedItem(item.shown, item.item_id, item.digest, error=item.error)
    if item.error is not None:
        return answer
    results = [made[unit] for unit in item.units]
    failed = next((result for result in results if isinstance(result, ServiceError)), None)
    if failed is not None:
        # Signatures of other formats are on record and stand; a retry answers with them.
        return replace(answer, error=failed)
    return replace(answer, signatures=tuple(r for r in results if isinstance(r, Signature)))
