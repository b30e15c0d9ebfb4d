"""One file for each thing that the service does. Operations know ports, never adapters."""

from __future__ import annotations

from dataclasses import dataclass

from service.operations.approvals import Approvals
from service.operations.certificates import Certificates
from service.operations.credentials import Credentials
from service.operations.custody import Custody
from service.operations.findings import SeeFindings
from service.operations.keys import Keys
from service.operations.log import ReadAuditLog, ReadLog, SearchAudit, TakeEntries
from service.operations.lookaside import Lookaside
from service.operations.maintenance import Maintenance
from service.operations.metrics import Metrics
from service.operations.minutes import TakeMinutes
from service.operations.openpgp_keys import OpenPGPKeys
from service.operations.quorum_policy import QuorumPolicy
from service.operations.rates import RateLimits
from service.operations.readiness import Readiness, ReadinessPart
from service.operations.records import Records
from service.operations.reissue_jobs import ReissueJobs
from service.operations.sign import Attest, Sign, SignImages
from service.operations.sign_payload import SignPayload
from service.operations.signing_jobs import SigningJobs
from service.operations.slots import Slots
from service.operations.timestamps import Timestamps
from service.operations.trust_files import TrustFiles
from service.operations.verify import VerifyImages
from service.operations.withdrawals import Withdrawals
from service.ports.identity import Authenticator

__all__ = [
    "Approvals",
    "Attest",
    "Certificates",
    "Credentials",
    "Custody",
    "Keys",
    "Lookaside",
    "Maintenance",
    "Metrics",
    "OpenPGPKeys",
    "Operations",
    "QuorumPolicy",
    "RateLimits",
    "Readiness",
    "ReadinessPart",
    "Records",
    "ReissueJobs",
    "SeeFindings",
    "Sign",
    "SignImages",
    "SignPayload",
    "SigningJobs",
    "Slots",
    "TakeMinutes",
    "Timestamps",
    "TrustFiles",
    "VerifyImages",
    "Withdrawals",
]


@dataclass(frozen=True, slots=True)
class Operations:
    """Everything that the edge can ask for."""

    authenticator: Authenticator
    rates: RateLimits
    sign: SignImages
    signing_jobs: SigningJobs
    sign_payload: SignPayload
    attest: Attest
    verify: VerifyImages
    keys: Keys
    custody: Custody
    reissues: ReissueJobs
    certificates: Certificates
    findings: SeeFindings
    withdrawals: Withdrawals
    credentials: Credentials
    approvals: Approvals
    quorum: QuorumPolicy
    minutes: TakeMinutes
    records: Records
    log: ReadLog
    audit_log: ReadAuditLog
    audit_search: SearchAudit
    take_entries: TakeEntries
    trust_files: TrustFiles
    slots: Slots
    lookaside: Lookaside
    timestamps: Timestamps
    openpgp_keys: OpenPGPKeys
    readiness: Readiness
    maintenance: Maintenance
    metrics: Metrics
