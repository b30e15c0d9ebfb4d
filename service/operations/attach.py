"""Step 11 within a request: deliver what it ordered, and wait for it a bounded time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, replace
from threading import Event
from typing import Final

from service.domain.clock import Clock
from service.domain.digests import Digest
from service.domain.errors import ServiceError
from service.domain.limits import ORDER_LEASE_SECONDS, WAIT_FOR_ATTACHMENT_SECONDS
from service.domain.outbox import Order, OrderKind
from service.domain.references import Repository
from service.domain.signing import AttachmentState, AttachmentWish, Signature
from service.operations.deliver import DeliverAttachments
from service.operations.fanout import Fanout
from service.operations.units import Unit
from service.ports.formats import RecordedFormat
from service.ports.store import Outbox

POLL_SECONDS: Final = 0.1  # while another process delivers the same subject


@dataclass(frozen=True, slots=True)
class AttachRecorded:
    outbox: Outbox
    deliver: DeliverAttachments
    formats: Mapping[str, RecordedFormat]
    fanout: Fanout
    clock: Clock

    def __call__(
        self,
        made: Mapping[Unit, Signature | ServiceError],
        orders: Mapping[Order, Sequence[Signature]],
        *,
        owner: str,
        wanted: bool,
        ordered_in_step_9: set[Unit],
    ) -> Mapping[Unit, Signature | ServiceError]:
        """Return `made` with the attachments as they are when the waiting ends.

        A store or registry that fails here loses nothing: the orders stand, the worker
        delivers them, and the answer says `pending`.
        """
        if not wanted:
            return made
        deadline = self.clock.monotonic() + WAIT_FOR_ATTACHMENT_SECONDS
        current = {s.id: s for s in made.values() if isinstance(s, Signature)}
        work = {order: list(signatures) for order, signatures in orders.items()}
        again = {
            s.id: AttachmentWish(s.id, self.formats[s.statement.format].kind, unit.subject)
            for unit, s in made.items()
            if isinstance(s, Signature)
            and unit not in ordered_in_step_9
            and unit.subject is not None
        }
        if again:
            work.update(self._order_again(again, current, owner=owner))
        futures = [self.fanout.submit(self._one, entry) for entry in work.items()]
        done, _ = wait(futures, timeout=max(0.0, deadline - self.clock.monotonic()))
        for future in done:
            current.update((s.id, s) for s in future.result())
        self._await_others(current, deadline)
        return {unit: current[s.id] if isinstance(s, Signature) else s for unit, s in made.items()}

    def put_back(self, held_up: Mapping[Order, ServiceError]) -> None:
        """Leave orders to the worker, or to whoever asks again: nothing of them can leave now."""
        for order, error in held_up.items():
            try:
                self.deliver.put_back(order, error)
            except ServiceError:
                return  # The store is away: they are delivered when their lease runs out.

    def _order_again(
        self,
        again: Mapping[str, AttachmentWish],
        current: dict[str, Signature],
        *,
        owner: str,
    ) -> Mapping[Order, list[Signature]]:
        """Order what stood already: the registry may have lost it, or never have had it."""
        granted = self.outbox.order_attachments(
            list(again.values()), owner=owner, seconds=ORDER_LEASE_SECONDS
        )
        self._look(list(again), current)
        work: dict[tuple[OrderKind, Repository, Digest], list[Signature]] = {}
        for wish in again.values():
            signature = current[wish.signature_id]
            statement = signature.statement
            place = (wish.kind, statement.repository, statement.digest)
            work.setdefault(place, []).append(signature)
        return {order: work[order.kind, order.repository, order.digest] for order in granted}

    def _look(self, ids: Sequence[str], current: dict[str, Signature]) -> None:
        """Bring attachments up to date; what else is known of the signatures stays."""
        for one, found in self.outbox.attachment_states(ids).items():
            current[one] = replace(current[one], attachment=found.attachment)

    def _one(self, entry: tuple[Order, Sequence[Signature]]) -> Sequence[Signature]:
        order, signatures = entry
        try:
            return self.deliver.deliver(order, signatures)
        except ServiceError:
            # The store is away: recorded orders are delivered when their lease runs out.
            return ()

    def _await_others(self, current: dict[str, Signature], deadline: float) -> None:
        """Wait for what somebody else is delivering just now."""
        pause = Event()
        while True:
            open_ids = [
                i
                for i, s in current.items()
                if s.attachment.state not in (AttachmentState.ATTACHED, AttachmentState.FAILED)
            ]
            if not open_ids:
                return
            try:
                self._look(open_ids, current)
            except ServiceError:
                return
            left = deadline - self.clock.monotonic()
            if left <= 0:
                return
            pause.wait(min(POLL_SECONDS, left))
