"""Searching the audit log, and handing on what was found."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.audit import AuditFilter, LoggedEvent
from service.domain.callers import Caller
from service.domain.pages import Page, PageRequest
from service.operations.decide import require_action
from service.policy.roles import Action
from service.ports.log import AuditReader


@dataclass(frozen=True, slots=True)
class SearchAudit:
    reader: AuditReader

    def __call__(self, caller: Caller, wanted: AuditFilter, page: PageRequest) -> Page[LoggedEvent]:
        """Return events that are in the audit log, newest first. Raises ForbiddenError."""
        require_action(caller, Action.SEE_AUDIT)
        return self.reader.search(wanted, page)
