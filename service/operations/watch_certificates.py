"""Certificates that end, told in time: by findings, in readiness, and in the metrics.

A chain ends with the first of its certificates. Only what signs, or may yet, is watched: the
chain of a retired version is in its signatures for good, and none could take its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from service.domain.clock import Clock, rfc3339
from service.domain.findings import CERTIFICATE_EXPIRING, Finding, NewFinding, Severity
from service.domain.pages import PageRequest
from service.operations.readiness import ReadinessWarning
from service.ports.certificates import CertificateBook
from service.ports.metrics import CERTIFICATE_NOT_AFTER, Reading
from service.ports.store import FindingFilter, Findings

SOON: Final = timedelta(days=30)  # a CA that works by hand needs weeks
VERY_SOON: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WatchCertificates:
    """Called, it opens and closes findings; it also warns, and is a source of gauges."""

    book: CertificateBook
    findings: Findings
    clock: Clock

    def __call__(self) -> None:
        wanted = {found.subject: found for found in self._wanted()}
        known = {found.subject: found for found in self._open()}
        for subject, found in known.items():
            if not _tells(found, wanted.get(subject)):
                self.findings.close(CERTIFICATE_EXPIRING, subject)
        for new in wanted.values():
            self.findings.open(new)

    def warnings(self) -> Sequence[ReadinessWarning]:
        now = self.clock.now()
        return [
            ReadinessWarning(found.code, found.subject, _text(found.evidence, now))
            for found in self._wanted()
        ]

    def readings(self) -> Sequence[Reading]:
        """When each chain ends, in seconds since the epoch, by key and version.

        Names of keys come from custodians, who are few, and so are the series.
        """
        return [
            Reading(
                CERTIFICATE_NOT_AFTER,
                (version.key, str(version.version)),
                version.chain.not_after.timestamp(),
            )
            for version in self.book.in_use()
            if version.chain is not None
        ]

    def _wanted(self) -> Iterator[NewFinding]:
        now = self.clock.now()
        for version in self.book.in_use():
            chain = version.chain
            severity = None if chain is None else _severity(chain.not_after - now)
            if chain is not None and severity is not None:
                evidence = {
                    "certificate": chain.subject.text(),
                    "not_after": rfc3339(chain.not_after),
                    "origin": chain.origin.value,
                    "thumbprint": chain.thumbprints[0],
                }
                yield NewFinding(CERTIFICATE_EXPIRING, severity, version.subject, evidence)

    def _open(self) -> Iterator[Finding]:
        cursor: str | None = None
        wanted = FindingFilter(is_open=True, code=CERTIFICATE_EXPIRING)
        while True:
            page = self.findings.list(wanted, PageRequest(cursor=cursor))
            yield from page.items
            cursor = page.next
            if cursor is None:
                return


def _severity(left: timedelta) -> Severity | None:
    if left <= timedelta():
        return Severity.CRITICAL
    if left <= VERY_SOON:
        return Severity.HIGH
    return Severity.MEDIUM if left <= SOON else None


def _tells(found: Finding, wanted: NewFinding | None) -> bool:
    """Whether an open finding says what is to be said now; else it makes room for another."""
    return wanted is not None and (found.severity, dict(found.evidence)) == (
        wanted.severity,
        dict(wanted.evidence),
    )


def _text(evidence: Mapping[str, object], now: datetime) -> str:
    ended = datetime.fromisoformat(str(evidence["not_after"]))
    verb = "ends" if ended > now else "ended"
    return f"the certificate {evidence['certificate']} {verb} on {evidence['not_after']}"
