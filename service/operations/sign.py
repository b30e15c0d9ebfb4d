"""The signing cycle (docs/signing-cycle.md): the numbers here are the numbers there.

1. Authenticate: done at the edge, which hands over the caller.
2. Decide by policy. 3. Resolve. 4. Check the key's conditions. 5. Fix the bytes: `prepare`.
6. Commit the intent. 7. Sign in the HSM. 8. Verify in software. 9. Commit the outcome: `cycle`.
`sign_units` takes requests that come together through 6 to 10 at once.
10. Integrate the log entry, have it stamped. 11. Attach. 12. Answer.

Items fail alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from service.domain.attestations import AttestationRequest
from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.domain.digests import Descriptor
from service.domain.errors import ForbiddenError, PolicyDeniedError, ServiceError
from service.domain.ids import new_id
from service.domain.limits import MAX_REFERENCE_CHARS
from service.domain.media_types import OCI_MANIFEST
from service.domain.outbox import Order, OrderKind
from service.domain.signing import Artifact, Signature, SignedItem, SigningRequest
from service.formats.artifacts import artifact_of
from service.operations.attach import AttachRecorded
from service.operations.cycle import Run
from service.operations.log import SignatureLog
from service.operations.replay import Replays
from service.operations.sign_units import SignUnits, proven
from service.operations.stamp import StampSignatures
from service.operations.units import Prepared, Unit, signatures_of, units_of
from service.ports.formats import RecordedFormat
from service.ports.steps import StepObserver
from service.ports.store import AuditTrail, IdempotentRequest, SigningJournal

_DENIALS: Final = (PolicyDeniedError, ForbiddenError)
_NOTHING_EARLIER: Final[Mapping[int, SignedItem]] = MappingProxyType({})


class Request(Protocol):
    """What the cycle asks of a request, whatever is to be signed."""

    @property
    def size(self) -> int: ...

    @property
    def attach(self) -> bool: ...

    @property
    def force(self) -> bool: ...

    @property
    def promises(self) -> bool: ...


R = TypeVar("R", bound=Request)
S_contra = TypeVar("S_contra", bound=Request, contravariant=True)


class Prepare(Protocol[S_contra]):
    """Steps 2 to 5: `service.operations.prepare` for images, `…attest` for attestations."""

    def __call__(
        self, caller: Caller, request: S_contra, *, settled: Collection[int]
    ) -> Sequence[Prepared]: ...


@dataclass(frozen=True, slots=True)
class Sign(Generic[R]):
    """`denied` names the audit event about an item that policy refused.

    The names of its two kinds are below, for annotations alone: a class of slots that is called
    by such a name cannot keep it.
    """

    prepare: Prepare[R]
    journal: SigningJournal
    sign: SignUnits
    formats: Mapping[str, RecordedFormat]
    audit: AuditTrail
    attach: AttachRecorded
    replays: Replays
    log: SignatureLog
    stamp: StampSignatures
    steps: StepObserver
    denied: str = "signature.denied"

    def __call__(
        self,
        caller: Caller,
        request: R,
        *,
        idempotency_key: str | None,
        body_hash: str,
    ) -> tuple[SignedItem, ...]:
        """Sign each item of the request and answer in its order.

        Raises:
            ForbiddenError, KeyNotNamedError, KeyNotUsableError, UnsupportedFormatError,
            InvalidRequestError: about the request as a whole.
            IdempotencyKeyReusedError, RequestInProgressError: about the Idempotency-Key.
            StoreUnavailableError: nothing was signed, or nothing of it leaves.
            LogUnavailableError, LogRolledBackError, MaintenanceError: nothing was signed.
        """
        owner = new_id("own")
        if idempotency_key is None:
            return self.run(caller, request, owner=owner, held=None)
        with self.replays.holding(
            caller, idempotency_key, body_hash=body_hash, owner=owner
        ) as replay:
            items = self.run(caller, request, owner=owner, held=replay.request)
            replay.results = items
            return items

    def artifact(self, item: SignedItem, signature: Signature) -> Artifact:
        """Return what a caller who attaches by itself must push.

        Where nobody has told what the image is, its manifest's size is given as 0: clients
        and registries go by the digest.
        """
        statement = signature.statement
        subject = item.descriptor or Descriptor(OCI_MANIFEST, statement.digest, 0)
        return artifact_of(self.formats[statement.format].attachment(signature, subject), subject)

    def run(
        self,
        caller: Caller,
        request: R,
        *,
        owner: str,
        held: IdempotentRequest | None,
        first: int = 0,
    ) -> tuple[SignedItem, ...]:
        """As the call, under an Idempotency-Key that the caller of this holds already, or none.

        `request` may be a part of what the key is for, from its item `first` on.
        """
        self.sign.may_sign()
        request_id = held.id if held is not None else new_id("req")
        earlier = self.replays.earlier(held, request.size)
        # (2) to (5); an item that an earlier run has ended for good is only authorised again.
        prepared = self.prepare(caller, request, settled=earlier.keys())
        self._audit_denials(caller, prepared)
        self.steps.reached(5)
        wanted = Run(
            caller.credential_id,
            request_id,
            owner,
            request.attach,
            request.force,
            request.promises,
            first,
        )
        return self.prepared(prepared, wanted, earlier=earlier, replayed=held is not None)

    def prepared(
        self,
        prepared: Sequence[Prepared],
        run: Run,
        *,
        earlier: Mapping[int, SignedItem] = _NOTHING_EARLIER,
        replayed: bool = False,
    ) -> tuple[SignedItem, ...]:
        """Take items through steps 6 to 12 whose bytes are fixed and whose signing is decided."""
        units = list(units_of(prepared))
        before = self._made_before(units, run, replayed=replayed)
        made = self.sign([unit for unit in units if unit not in before], run)
        # (10) Nothing leaves unlogged, or unstamped where stamps are asked for.
        again = [*before.values(), *_signatures(earlier.values())]
        logged = self._stamped({**made.logged, **proven(self.log, again, are_new=False)})
        if run.promises and not run.attach:
            logged = {one: self._promised(found) for one, found in logged.items()}
        earlier = {index: _with_log(item, logged) for index, item in earlier.items()}
        results = {
            unit: logged[one.id] if isinstance(one, Signature) else one
            for unit, one in (*before.items(), *made.results.items())
        }
        self.steps.reached(10)
        # (11) Attach, or leave it to the outbox.
        ready, held_up = _provable(made.orders, logged)
        self.attach.put_back(held_up)
        attached = self.attach(
            results,
            ready,
            owner=run.owner,
            wanted=run.attach,
            ordered_in_step_9=set(made.signed),
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

    def _stamped(
        self, logged: Mapping[str, Signature | ServiceError]
    ) -> Mapping[str, Signature | ServiceError]:
        return dict(zip(logged, self.stamp(list(logged.values())), strict=True)) if logged else {}

    def _promised(self, one: Signature | ServiceError) -> Signature | ServiceError:
        """Return the signature with what its caller's own attachment is to carry of the log."""
        if isinstance(one, ServiceError):
            return one
        if self.formats[one.statement.format].kind is not OrderKind.ATTACH:
            return one
        try:
            [ready] = self.log.ready_to_leave([one], as_sig=True)
        except ServiceError as error:
            return error
        return ready

    def _audit_denials(self, caller: Caller, prepared: Sequence[Prepared]) -> None:
        denied = [item for item in prepared if isinstance(item.error, _DENIALS)]
        if denied:
            self.audit.append(
                [
                    AuditEvent(
                        self.denied,
                        caller.name,
                        item.shown[:MAX_REFERENCE_CHARS],
                        {"code": item.error.code, "reasons": list(item.error.reasons)},
                    )
                    for item in denied
                    if isinstance(item.error, _DENIALS)
                ]
            )

    def _made_before(
        self, units: Sequence[Unit], run: Run, *, replayed: bool
    ) -> Mapping[Unit, Signature]:
        """Return what this very request has made, which counts even with `force`."""
        if not (replayed and units):
            return {}
        places = {unit: (run.first + unit.item, unit.statement_hash) for unit in units}
        items = [item for item, _ in places.values()]
        before = self.journal.made_for_request(
            run.request_id, items=range(min(items), max(items) + 1)
        )
        return {unit: before[place] for unit, place in places.items() if place in before}


SignImages = Sign[SigningRequest]
Attest = Sign[AttestationRequest]


def _signatures(items: Iterable[SignedItem]) -> Iterator[Signature]:
    for item in items:
        yield from item.signatures
        yield from _signatures(item.children)


def _with_log(item: SignedItem, logged: Mapping[str, Signature | ServiceError]) -> SignedItem:
    """Return an item of an earlier run with the proofs of its signatures."""
    results = [logged[one.id] for one in item.signatures]
    children = tuple(_with_log(child, logged) for child in item.children)
    failed = next((one for one in results if isinstance(one, ServiceError)), None)
    if failed is not None:
        return replace(item, signatures=(), children=children, error=failed)
    proven = tuple(one for one in results if isinstance(one, Signature))
    return replace(item, signatures=proven, children=children)


def _provable(
    orders: Mapping[Order, Sequence[str]], logged: Mapping[str, Signature | ServiceError]
) -> tuple[Mapping[Order, Sequence[Signature]], Mapping[Order, ServiceError]]:
    """Return the orders whose signatures may all leave, and what keeps the others from it."""
    ready, held_up = {}, {}
    for order, ids in orders.items():
        results = [logged[one] for one in ids]
        failed = next((one for one in results if isinstance(one, ServiceError)), None)
        if failed is None:
            ready[order] = [one for one in results if isinstance(one, Signature)]
        else:
            held_up[order] = failed
    return ready, held_up


def _answer(item: Prepared, made: Mapping[Unit, Signature | ServiceError]) -> SignedItem:
    result = signatures_of(item.units, made) if item.error is None else item.error
    return SignedItem(
        item.shown,
        item.item_id,
        item.digest,
        # If one failed, signatures of other formats stand; a retry answers with them.
        signatures=() if isinstance(result, ServiceError) else result,
        children=tuple(_answer(child, made) for child in item.children) if item.children else (),
        error=result if isinstance(result, ServiceError) else None,
        descriptor=item.descriptor,
        platform=item.platform,
    )
