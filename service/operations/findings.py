"""Findings, for those who may see them."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.callers import Caller
from service.domain.findings import Finding
from service.domain.pages import Page, PageRequest
from service.operations.decide import require_action
from service.policy.roles import Action
from service.ports.store import FindingFilter, Findings


@dataclass(frozen=True, slots=True)
class SeeFindings:
    findings: Findings

    def list(self, caller: Caller, wanted: FindingFilter, page: PageRequest) -> Page[Finding]:
        """Raises ForbiddenError."""
        require_action(caller, Action.SEE_FINDINGS)
        return self.findings.list(wanted, page)
