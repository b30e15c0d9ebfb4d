"""Findings: what somebody must look at, each with the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How much it hurts: `critical` cannot wait for the morning, `low` may wait for long."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class NewFinding:
    """Something found. One of the same `code` and `subject` is opened once until it is closed.

    `code` is stable and written where it is used; `subject` names what it is about;
    `evidence` are JSON values, enough to check it without us, and never a secret.
    """

    code: str
    severity: Severity
    subject: str
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    id: str
    code: str
    severity: Severity
    subject: str
    evidence: Mapping[str, object]
    opened_at: datetime
    closed_at: datetime | None = None


CERTIFICATE_EXPIRING = "certificate-expiring"
JOB_PARKED = "job-parked"
ORDER_PARKED = "order-parked"
KEY_COMPROMISED = "key-compromised"
LOG_NOT_AS_WITNESSED = "log-not-as-witnessed"
QUORUM_FILE_LOOSER = "quorum-file-looser"
SIGNATURE_MISSING = "signature-missing"
SIGNATURE_FORGED = "signature-forged"
QUORUM_SHORT = "quorum-short"
SIGNATURE_NOT_LOGGED = "signature-not-logged"
SIGNATURE_NOT_ON_RECORD = "signature-not-on-record"
