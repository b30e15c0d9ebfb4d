"""What is on record: signatures, attachments and orders, for those who may see them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from service.domain.callers import Caller, Role
from service.domain.errors import NotFoundError
from service.domain.outbox import AttachmentStatus, OrderState, OrderStatus
from service.domain.pages import Page, PageRequest
from service.domain.signing import Signature, UnknownOutcome
from service.operations.decide import require_action
from service.operations.log import ProveEntries
from service.policy.patterns import any_matches
from service.policy.roles import Action
from service.ports.store import Outbox, SignatureFilter, SigningJournal


@dataclass(frozen=True, slots=True)
class Records:
    journal: SigningJournal
    outbox: Outbox
    prove: ProveEntries

    def signatures(
        self, caller: Caller, wanted: SignatureFilter, page: PageRequest
    ) -> Page[Signature]:
        found = self.journal.list(_visible(caller, wanted), page)
        return replace(found, items=self._logged(found.items))

    def signature(self, caller: Caller, signature_id: str) -> Signature:
        """Raises NotFoundError, also for what the caller may not see."""
        require_action(caller, Action.SEE_OWN_RECORDS)
        found = self.journal.get(signature_id)
        if found is None or not _sees(caller, str(found.statement.repository)):
            raise NotFoundError(f"there is no signature {signature_id!r}")
        return self._logged((found,))[0]

    def _logged(self, signatures: tuple[Signature, ...]) -> tuple[Signature, ...]:
        """Return the signatures with the proofs that there are."""
        proofs = self.prove([signature.id for signature in signatures])
        return tuple(replace(one, log=proofs.get(one.id)) for one in signatures)

    def unknown_outcomes(
        self, caller: Caller, wanted: SignatureFilter, page: PageRequest
    ) -> Page[UnknownOutcome]:
        return self.journal.unknown_outcomes(_visible(caller, wanted), page)

    def attachments(
        self, caller: Caller, state: str | None, wanted: SignatureFilter, page: PageRequest
    ) -> Page[AttachmentStatus]:
        return self.outbox.list_attachments(state, _visible(caller, wanted), page)

    def retry_attachment(self, caller: Caller, attachment_id: str) -> AttachmentStatus:
        """Make the delivery due now. Raises NotFoundError, ForbiddenError."""
        require_action(caller, Action.OPERATE_OUTBOX)
        found = self.outbox.get_attachment(attachment_id)
        if found is None or not _sees(caller, str(found.repository)):
            raise NotFoundError(f"there is no attachment {attachment_id!r}")
        self.outbox.retry(attachment_id)
        return self.outbox.get_attachment(attachment_id) or found

    def orders(
        self, caller: Caller, state: OrderState | None, page: PageRequest
    ) -> Page[OrderStatus]:
        require_action(caller, Action.SEE_ALL_RECORDS)
        return self.outbox.list_orders(state, page)

    def retry_parked(self, caller: Caller) -> int:
        require_action(caller, Action.SEE_ALL_RECORDS)
        require_action(caller, Action.OPERATE_OUTBOX)
        return self.outbox.retry_all_parked()


def _sees(caller: Caller, repository: str) -> bool:
    return caller.role is not Role.BUILDER or any_matches(caller.repositories, repository)


def _visible(caller: Caller, wanted: SignatureFilter) -> SignatureFilter:
    """Builders see their own repositories, auditors and admins everything, others nothing."""
    require_action(caller, Action.SEE_OWN_RECORDS)
    if caller.role is Role.BUILDER:
        return replace(wanted, repositories=caller.repositories)
    return wanted
