"""Approvals: custodians approve or reject what another has asked for.

The last approval performs the act within its own request: (1) the vote is counted, and with it
the execution is given to this request alone; everybody who counts must still be who they were;
(2) the act is checked again, and must find the state that it was asked for in; (3) it is
performed, once; (4) what came of it is recorded. What fails for a passing reason goes back to
`pending` with all its votes, and any approver may try again; any other failure is the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from service.domain.acts import Performed
from service.domain.approvals import (
    Approval,
    ApprovalState,
    Decision,
    Participant,
    Vote,
    same_person,
)
from service.domain.callers import Caller
from service.domain.clock import Clock, whole_millis
from service.domain.errors import (
    ApprovalSignatureInvalidError,
    ApprovalSignatureRequiredError,
    ApprovalStaleError,
    ApproverInvalidError,
    ForbiddenError,
    InternalError,
    NotFoundError,
    ServiceError,
    SSHKeyMissingError,
)
from service.domain.ids import new_id
from service.domain.pages import Page, PageRequest
from service.formats import sshkeys, sshsig
from service.operations.acts import Acts
from service.operations.decide import require_action
from service.operations.renewal import LeaseRenewer
from service.policy.roles import Action
from service.ports.approvals import ApprovalBook
from service.ports.store import CredentialBook

EXECUTION_SECONDS: Final = 30.0  # renewed while the act lasts; how late its end may be noticed
RENEW_SECONDS: Final = EXECUTION_SECONDS / 3

NAMESPACES: Final = {
    Decision.APPROVE: "sealwright-approval@sealwright.dev",
    Decision.REJECT: "sealwright-rejection@sealwright.dev",
}
"""Two, so that a signature under a rejection can never be shown as an approval."""


@dataclass(frozen=True, slots=True)
class Approvals:
    book: ApprovalBook
    acts: Acts
    credentials: CredentialBook
    renewer: LeaseRenewer
    clock: Clock

    def list(
        self,
        caller: Caller,
        page: PageRequest,
        *,
        state: ApprovalState | None,
        key: str | None = None,
    ) -> Page[Approval]:
        """Newest first."""
        require_action(caller, Action.SEE_APPROVALS)
        return self.book.list(page, state=state, key=key)

    def get(self, caller: Caller, approval_id: str) -> Approval:
        """Raises ForbiddenError, NotFoundError."""
        require_action(caller, Action.SEE_APPROVALS)
        return _found(self.book.get(approval_id), approval_id)

    def approve(
        self, caller: Caller, approval_id: str, *, signature: str | None, reason: str | None
    ) -> Approval:
        """Count the caller's approval; the last one performs the act.

        Raises:
            ForbiddenError: not a custodian, or the person who asked for it.
            NotFoundError, ApprovalNotPendingError, AlreadyApprovedError.
            ApprovalSignatureRequiredError, ApprovalSignatureInvalidError, SSHKeyMissingError.
            ApproverInvalidError, ApprovalStaleError: the act was not done, and never will be.
            ServiceError: of the act's own.
        """
        vote = self._vote(caller, approval_id, Decision.APPROVE, signature, reason)
        owner = new_id("own")
        found = self.book.approve(approval_id, vote, owner=owner, seconds=EXECUTION_SECONDS)
        approval = _found(found, approval_id)
        match approval.state:
            case ApprovalState.EXECUTING:
                return self._execute(approval, owner)
            case ApprovalState.FAILED:
                raise ApproverInvalidError(approval.error_detail or "")
            case _:
                return approval

    def reject(
        self, caller: Caller, approval_id: str, *, signature: str | None, reason: str | None
    ) -> Approval:
        """End it: one custodian who is against it is enough.

        Raises:
            ForbiddenError, NotFoundError, ApprovalNotPendingError,
            ApprovalSignatureInvalidError, SSHKeyMissingError.
        """
        vote = self._vote(caller, approval_id, Decision.REJECT, signature, reason)
        return _found(self.book.reject(approval_id, vote), approval_id)

    def sweep(self) -> int:
        """Put on record what has run out."""
        return self.book.sweep()

    def _vote(
        self,
        caller: Caller,
        approval_id: str,
        decision: Decision,
        signature: str | None,
        reason: str | None,
    ) -> Vote:
        require_action(caller, Action.APPROVE)
        approval = _found(self.book.get(approval_id), approval_id)
        if same_person(caller.person, approval.requester.person):
            raise ForbiddenError(
                f"{approval.requester.person} has asked for it, and does not decide on it"
            )
        armored = key = None
        if signature is not None:
            armored, key = self._checked(caller, approval, decision, signature)
        elif approval.signed and decision is Decision.APPROVE:
            raise ApprovalSignatureRequiredError
        at = whole_millis(self.clock.now())
        return Vote(Participant.of(caller), decision, at, reason, armored, key)

    def _checked(
        self, caller: Caller, approval: Approval, decision: Decision, signature: str
    ) -> tuple[str, str]:
        """Return the signature in its canonical armor, and the key that it holds against."""
        credential = self.credentials.get(caller.name)
        if credential is None or credential.ssh_public_key is None:
            raise SSHKeyMissingError(f"the credential {caller.name} has no SSH key")
        key = sshkeys.parse_line(credential.ssh_public_key)
        try:
            unverified = sshsig.parse(signature)
            sshsig.verify(unverified, approval.document, key=key, namespace=NAMESPACES[decision])
        except (sshkeys.SSHFormatError, sshsig.SSHSignatureInvalidError) as error:
            raise ApprovalSignatureInvalidError(f"the signature does not hold: {error}") from error
        return unverified.armored, key.line

    def _execute(self, approval: Approval, owner: str) -> Approval:
        try:
            performed = self._performed(approval, owner)
        except ServiceError as error:
            if error.retryable:
                self.book.postpone(approval.id, owner=owner, code=error.code)
            else:
                self.book.failed(approval.id, owner=owner, code=error.code, detail=str(error))
            raise
        except Exception:
            # A bug, which the edge reports. How far the act came nobody knows, but it is over.
            self.book.failed(
                approval.id, owner=owner, code=InternalError.code, detail=InternalError.title
            )
            raise
        return self.book.executed(approval.id, owner=owner, outcome=performed.summary)

    def _performed(self, approval: Approval, owner: str) -> Performed:
        def renew() -> None:
            self.book.renew(approval.id, owner=owner, seconds=EXECUTION_SECONDS)

        performer = self.acts.performers[approval.act.kind]
        with self.renewer.holding(renew, every=RENEW_SECONDS):
            self._check_again(approval)
            return performer.perform(approval.act, actor=approval.id)

    def _check_again(self, approval: Approval) -> None:
        """Raises ApprovalStaleError; a retryable ServiceError where it could not be checked."""
        performer = self.acts.performers[approval.act.kind]
        try:
            fingerprint = performer.check(approval.act)
        except ServiceError as error:
            if error.retryable:
                raise
            raise ApprovalStaleError(f"it cannot be done any more: {error}") from error
        if fingerprint != approval.fingerprint:
            raise ApprovalStaleError(f"{approval.act.subject} has changed since it was asked for")
        need = self.acts.quorum.need(approval.act)
        if need.people > approval.needed or (need.signed and not approval.signed):
            raise ApprovalStaleError("the quorum rule has become tighter since it was asked for")


def _found(approval: Approval | None, approval_id: str) -> Approval:
    if approval is None:
        raise NotFoundError(f"there is no approval {approval_id!r}")
    return approval
