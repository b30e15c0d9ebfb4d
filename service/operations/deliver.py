"""Step 11: brings recorded signatures to their registries, and looks again that they stayed.

An order of the outbox is the lock of one list of a (repository, digest), and the memory of what
must still happen to it. After a write the order is not done: a registry without conditional
writes lets a foreign writer that read the old list overwrite ours, so it is looked at again
a few seconds later, and again while the list keeps changing, and put back where it is gone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from service.domain.digests import Descriptor
from service.domain.errors import (
    LeaseLostError,
    LogUnavailableError,
    RegistryUnavailableError,
    ServiceError,
)
from service.domain.limits import ATTACH_SECONDS, ORDER_LEASE_SECONDS
from service.domain.media_types import OCI_MANIFEST
from service.domain.outbox import Order, OrderKind
from service.domain.signing import Attachment, AttachmentState, Signature
from service.operations.backoff import backoff, spread
from service.operations.fanout import Fanout
from service.operations.log import SignatureLog
from service.operations.pauses import RegistryPauses
from service.operations.stamp import StampSignatures
from service.ports.formats import RecordedFormat
from service.ports.registry import Attacher
from service.ports.steps import StepObserver
from service.ports.store import Outbox

log = logging.getLogger(__name__)

FIRST_LOOK_SECONDS: Final = 2.0  # a foreign client's read-modify-write takes about a second
SECOND_LOOK_SECONDS: Final = 10.0  # one that was slow
QUIET_LOOKS: Final = 2  # so many looks without a change end the order
RETRY_CAP_SECONDS: Final = 300.0  # a registry that is back is noticed within five minutes
HOPELESS_ATTEMPTS: Final = 5  # of a failure that a retry does not mend by itself


@dataclass(frozen=True, slots=True)
class DeliverAttachments:
    outbox: Outbox
    attachers: Mapping[OrderKind, Attacher]
    formats: Mapping[str, RecordedFormat]
    fanout: Fanout
    log: SignatureLog
    stamp: StampSignatures
    steps: StepObserver
    pauses: RegistryPauses

    def run_once(self, *, owner: str, limit: int = 32) -> int:
        """Claim what is due, deliver it, and return how many orders that were."""
        orders = self.outbox.claim(owner=owner, seconds=ORDER_LEASE_SECONDS, limit=limit)
        self.fanout.map(self._deliver_claimed, orders)
        return len(orders)

    def _deliver_claimed(self, order: Order) -> None:
        try:
            # The lookaside is our own: no registry is asked for it.
            left = (
                0.0
                if order.kind is OrderKind.LOOKASIDE
                else self.pauses.left(order.repository.host)
            )
            if left:
                # Not an attempt: nobody has asked the registry.
                self.outbox.postpone(order, seconds=spread(left))
                return
            self.deliver(order, self.outbox.to_attach(order))
        except ServiceError as error:
            # The store is away: the lease runs out and the order is claimed again.
            log.warning(
                "order not delivered",
                extra={"order": order.id, "code": error.code, "detail": str(error)},
            )

    def deliver(self, order: Order, signatures: Sequence[Signature]) -> Sequence[Signature]:
        """Attach the signatures under the order's lease and record what came of it.

        Returns the signatures with their attachments as recorded. Never raises for the
        registry's sake: a failure is recorded in the order, to be retried or parked.

        Raises:
            StoreUnavailableError: what happened at the registry could not be recorded; the
                order's lease runs out and it is delivered again.
        """
        # Orders of before they knew their subject are for lists that do not name it.
        subject = order.subject or Descriptor(OCI_MANIFEST, order.digest, 0)
        try:
            # (10) Whoever recorded them may have died before they were in the log, or stamped.
            signatures = self.stamp.ready_to_leave(signatures)
            signatures = self.log.ready_to_leave(signatures, as_sig=order.kind is OrderKind.ATTACH)
            contents = [self.formats[s.statement.format].attachment(s, subject) for s in signatures]
            attached = self.attachers[order.kind].attach(
                order.repository, order.digest, contents, seconds=ATTACH_SECONDS
            )
        except ServiceError as error:
            return self._failed(order, signatures, error)
        self.pauses.answered(order.repository.host)
        self.steps.reached(11)
        holders = dict(zip((s.id for s in signatures), attached.manifests, strict=True))
        quiet = not attached.added and order.seen == attached.seen
        looks = order.looks + 1 if quiet else 0
        look_again = None
        if attached.watched and looks < QUIET_LOOKS:
            look_again = SECOND_LOOK_SECONDS if looks else FIRST_LOOK_SECONDS
        try:
            self.outbox.attached(
                order,
                holders,
                media_type=attached.media_type,
                seen=attached.seen,
                look_again_seconds=look_again,
                looks=looks,
            )
        except LeaseLostError:
            # The next holder finds everything in place and records it.
            log.info("order lost while delivering", extra={"order": order.id})
            return signatures
        return [
            replace(
                s,
                attachment=Attachment(AttachmentState.ATTACHED, holders[s.id], attached.media_type),
            )
            for s in signatures
        ]

    def put_back(self, order: Order, error: ServiceError) -> None:
        """Record that an order could not be delivered, without asking its registry."""
        # Where a person has to decide, it is tried again until then, and not parked.
        self._failed(order, (), error if error.retryable else LogUnavailableError(str(error)))

    def _failed(
        self, order: Order, signatures: Sequence[Signature], error: ServiceError
    ) -> Sequence[Signature]:
        log.warning(
            "attachment failed",
            extra={
                "order": order.id,
                "code": error.code,
                "detail": str(error),
                "attempts": order.attempts + 1,
            },
        )
        if isinstance(error, RegistryUnavailableError):
            self.pauses.was_silent(order.repository.host)
        delay = retry_delay(order.attempts, error)
        state = AttachmentState.FAILED if delay is None else AttachmentState.PENDING
        try:
            self.outbox.failed(
                order, error_code=error.code, error_detail=str(error), retry_seconds=delay
            )
        except LeaseLostError:
            return signatures
        return [replace(s, attachment=Attachment(state)) for s in signatures]


def retry_delay(attempts: int, error: ServiceError) -> float | None:
    """Seconds until the next attempt after `attempts` failed ones; None parks the order."""
    if not error.retryable and attempts + 1 >= HOPELESS_ATTEMPTS:
        return None
    return max(backoff(attempts, cap=RETRY_CAP_SECONDS), error.retry_after or 0.0)
