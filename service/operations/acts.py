"""The one way to every act of custody: checked, and performed at once or when it is approved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from service.domain.acts import Act, ActKind, Performed
from service.domain.approvals import Approval, ApprovalState, Participant, request_document
from service.domain.callers import Caller
from service.domain.clock import Clock, whole_millis
from service.domain.ids import new_id
from service.domain.quorum import ONE
from service.operations.quorum import Need, Quorum
from service.ports.approvals import ApprovalBook


class Performer(Protocol):
    """What one kind of act does. Arguments come as JSON values, whatever the caller put in."""

    def check(self, act: Act) -> str:
        """Return a fingerprint of the state that the act depends on; change nothing.

        Raises:
            ServiceError: the act is forbidden, or impossible, as things are now.
        """
        ...

    def perform(self, act: Act, *, actor: str) -> Performed:
        """Do it, with its audit events. The caller has checked it just before.

        `actor` is the caller's credential, or the id of the approval that it is done for.

        Raises:
            ServiceError: it was not done. After a retryable one it may be checked and
                performed again, so a part that was done must show in the fingerprint.
        """
        ...


@dataclass(frozen=True, slots=True)
class Acts:
    performers: Mapping[ActKind, Performer]
    quorum: Quorum
    approvals: ApprovalBook
    clock: Clock

    def request(self, caller: Caller, act: Act) -> Performed | Approval:
        """Perform the act for `caller`, whose role has been checked, or record the request.

        Where a quorum rule asks for more people, what is returned is the approval that the act
        now waits for (202: `service.web.answers.performed_or_pending`).

        Raises:
            ServiceError: of the act's own.
        """
        # What will be performed from the store later must be what is checked and performed now.
        act = replace(act, arguments=json.loads(json.dumps(dict(act.arguments))))
        performer = self.performers[act.kind]
        fingerprint = performer.check(act)
        need = self.quorum.need(act)
        if need.people <= ONE:
            return performer.perform(act, actor=caller.name)
        approval = self._asked(Participant.of(caller), act, fingerprint, need)
        self.approvals.open(approval)
        return approval

    def _asked(self, requester: Participant, act: Act, fingerprint: str, need: Need) -> Approval:
        approval_id = new_id("apr")
        now = whole_millis(self.clock.now())
        expires_at = now + timedelta(hours=need.expires_hours)
        document = request_document(
            approval_id,
            act,
            fingerprint=fingerprint,
            requester=requester,
            needed=need.people,
            signed=need.signed,
            created_at=now,
            expires_at=expires_at,
        )
        return Approval(
            approval_id,
            act,
            document,
            fingerprint,
            requester,
            need.people,
            need.signed,
            ApprovalState.PENDING,
            now,
            expires_at,
        )
