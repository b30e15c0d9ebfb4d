"""The minutes of a key: everything on record about its custody, put together for people.

Nothing in them is new: each line can be traced to the key, to an approval with its document
and signatures, or to an audit event by its number and exact bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.domain.approvals import Approval, Participant
from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.errors import KeyNotFoundError
from service.domain.keys import Key
from service.domain.limits import MAX_PAGE
from service.domain.pages import PageRequest
from service.domain.quorum import QuorumRules
from service.operations.decide import require_action
from service.operations.quorum import Quorum
from service.policy.roles import Action
from service.ports.approvals import ApprovalBook
from service.ports.minutes import CustodyRecord, RecordedEvent
from service.ports.store import CredentialBook, KeyCatalog

MAX_EVENTS: Final = 2000  # years of a key's life; more would be no minutes
MAX_APPROVALS: Final = MAX_PAGE


@dataclass(frozen=True, slots=True)
class Minutes:
    """Approvals and events in the order in which they came.

    `participants` are those who asked, decided or acted, each as at that moment, or where only
    an event names the credential, as its person is now.
    """

    key: Key
    rules: QuorumRules
    participants: tuple[Participant, ...]
    approvals: tuple[Approval, ...]
    events: tuple[RecordedEvent, ...]
    made_at: datetime


@dataclass(frozen=True, slots=True)
class TakeMinutes:
    catalog: KeyCatalog
    approvals: ApprovalBook
    record: CustodyRecord
    credentials: CredentialBook
    quorum: Quorum
    clock: Clock

    def __call__(self, caller: Caller, name: str) -> Minutes:
        """Raises ForbiddenError, KeyNotFoundError."""
        require_action(caller, Action.SEE_CUSTODY)
        key = self.catalog.get(name)
        if key is None:
            raise KeyNotFoundError(f"there is no key {name!r}")
        page = self.approvals.list(PageRequest(limit=MAX_APPROVALS), state=None, key=name)
        approvals = tuple(reversed(page.items))
        subjects = [
            key.name,
            *(version.subject for version in key.versions),
            *(approval.id for approval in approvals),
        ]
        events = tuple(self.record.about(subjects, limit=MAX_EVENTS))
        return Minutes(
            key,
            self.quorum.rules().rules,
            self._participants(approvals, events),
            approvals,
            events,
            self.clock.now(),
        )

    def _participants(
        self, approvals: Sequence[Approval], events: Sequence[RecordedEvent]
    ) -> tuple[Participant, ...]:
        found: dict[Participant, None] = {}
        for approval in approvals:
            found[approval.requester] = None
            found.update((vote.by, None) for vote in approval.votes)
        told = {participant.name for participant in found}
        actors = dict.fromkeys(str(json.loads(event.body)["actor"]) for event in events)
        # An approval's id stands for the people above, and some things the service does itself.
        for actor in actors:
            held = None if actor in told else self.credentials.get(actor)
            if held is not None:
                found[Participant.of(held.caller)] = None
        return tuple(found)
