"""Keeps the findings about the quorum, and puts a tighter policy file in force without being asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from service.domain.findings import QUORUM_FILE_LOOSER, QUORUM_SHORT, NewFinding, Severity
from service.operations.quorum import SUBJECT, Quorum
from service.ports.store import Findings


@dataclass(frozen=True, slots=True)
class WatchQuorum:
    """A looser file, which has no effect; and custodians who are fewer than some rule needs."""

    quorum: Quorum
    findings: Findings

    def __call__(self) -> None:
        status = self.quorum.status()
        self._keep(
            QUORUM_FILE_LOOSER,
            Severity.MEDIUM,
            {"looser": list(status.looser)} if status.looser else None,
        )
        needed = status.in_force.largest
        self._keep(
            QUORUM_SHORT,
            Severity.HIGH,
            {"custodians": status.custodians, "needed": needed} if status.short else None,
        )

    def _keep(self, code: str, severity: Severity, evidence: Mapping[str, object] | None) -> None:
        if evidence is None:
            self.findings.close(code, SUBJECT)
        else:
            self.findings.open(NewFinding(code, severity, SUBJECT, evidence))
