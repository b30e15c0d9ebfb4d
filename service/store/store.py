"""The store as a whole: one database behind all the ports of `service.ports.store`."""

from __future__ import annotations

from typing import Final

from service.store.approvals import StoredApprovalBook
from service.store.audit import StoredAuditTrail
from service.store.audit_search import StoredAuditSearch
from service.store.certificate_book import StoredCertificateBook
from service.store.certifications import StoredKeyCertifications
from service.store.cosignatures import StoredCosignatures
from service.store.credentials import StoredCredentialBook
from service.store.cursors import StoredCursors
from service.store.custody_record import StoredCustodyRecord
from service.store.database import Database
from service.store.findings import StoredFindings
from service.store.gauges import OutboxGauge
from service.store.health import StoredHealth
from service.store.idempotency import StoredIdempotencyLedger
from service.store.jobs import StoredJobBook
from service.store.journal import StoredJournal
from service.store.keys import StoredKeyCatalog
from service.store.leases import StoredLeases
from service.store.log_reads import StoredLogReader
from service.store.log_recovery import StoredLogRecovery
from service.store.log_trees import StoredLogWriter
from service.store.outbox import StoredOutbox
from service.store.pins import StoredPINLatch
from service.store.quarantine import StoredQuarantine
from service.store.quorum import StoredQuorumBook
from service.store.rates import StoredBuckets
from service.store.signed_images import StoredSignedImages
from service.store.switches import StoredSwitches
from service.store.timestamps import StoredTimestamps
from service.store.withdrawals import StoredWithdrawalLists


class Store:
    """Opens nothing before its first use, and may be built before a fork and used after it.

    All times are the database's own, so that there is no clock to pass in.
    """

    def __init__(self, url: str) -> None:
        """Raises ConfigurationError if the URL cannot be used."""
        self._database: Final = Database(url)
        self.journal: Final = StoredJournal(self._database)
        self.signed_images: Final = StoredSignedImages(self._database)
        self.outbox: Final = StoredOutbox(self._database)
        self.keys: Final = StoredKeyCatalog(self._database)
        self.findings: Final = StoredFindings(self._database)
        self.certifications: Final = StoredKeyCertifications(self._database)
        self.timestamps: Final = StoredTimestamps(self._database)
        self.withdrawals: Final = StoredWithdrawalLists(self._database)
        self.certificates: Final = StoredCertificateBook(self._database)
        self.credentials: Final = StoredCredentialBook(self._database)
        self.audit: Final = StoredAuditTrail(self._database)
        self.leases: Final = StoredLeases(self._database)
        self.idempotency: Final = StoredIdempotencyLedger(self._database)
        self.switches: Final = StoredSwitches(self._database)
        self.buckets: Final = StoredBuckets(self._database)
        self.cursors: Final = StoredCursors(self._database)
        self.jobs: Final = StoredJobBook(self._database)
        self.pins: Final = StoredPINLatch(self._database)
        self.outbox_gauge: Final = OutboxGauge(self._database)
        self.approvals: Final = StoredApprovalBook(self._database)
        self.quorum: Final = StoredQuorumBook(self._database)
        self.custody_record: Final = StoredCustodyRecord(self._database)
        self.health: Final = StoredHealth(self._database)
        self.log_writer: Final = StoredLogWriter(self._database)
        self.log_reader: Final = StoredLogReader(self._database)
        self.cosignatures: Final = StoredCosignatures(self._database)
        self.log_recovery: Final = StoredLogRecovery(self._database)
        self.audit_search: Final = StoredAuditSearch(self._database)

    def quarantine_of(self, installation: str) -> StoredQuarantine:
        return StoredQuarantine(self._database, installation)

    def close(self) -> None:
        self._database.close()
