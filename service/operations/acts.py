"""The one way to every act of custody: checked, and performed at once or when it is approved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from service.domain.acts import Act, ActKind, Performed
from service.domain.approvals import Approval
from service.domain.callers import Caller


class Performer(Protocol):
    """What one kind of act does."""

    def check(self, act: Act) -> str:
        """Return a fingerprint of the state that the act depends on; change nothing.

        Raises:
            ServiceError: the act is forbidden, or impossible, as things are now.
        """
        ...

    def perform(self, act: Act, *, actor: str) -> Performed:
        """Do it, with its audit events. The caller has checked it just before.

        Raises:
            ServiceError: it was not done.
        """
        ...


@dataclass(frozen=True, slots=True)
class Acts:
    performers: Mapping[ActKind, Performer]

    def request(self, caller: Caller, act: Act) -> Performed | Approval:
        """Perform the act for `caller`, whose role has been checked, or record the request.

        Where a quorum rule asks for more people, what is returned is the approval that the act
        now waits for (202: `service.web.answers.performed_or_pending`).

        Raises:
            ServiceError: of the act's own.
        """
        performer = self.performers[act.kind]
        performer.check(act)
        return performer.perform(act, actor=caller.name)
