"""The transparency logs: making them grow, proving what is in them, reading them."""

from service.operations.log.at_registries import LoggedAtRegistries
from service.operations.log.audit import SearchAudit
from service.operations.log.cosign import CollectCosignatures
from service.operations.log.extend import ExtendLog
from service.operations.log.foreign import TakeEntries
from service.operations.log.heads import SignHeads
from service.operations.log.names import LogNames
from service.operations.log.our_signatures import OurSignatures, Sighting, Sightings
from service.operations.log.proofs import ProveEntries
from service.operations.log.reads import Consistency, Inclusion, ReadAuditLog, ReadLog
from service.operations.log.recover import Loss, RecoverLog, gather
from service.operations.log.rederive import RederiveLogs
from service.operations.log.rollback import RollbackGuard
from service.operations.log.signatures import SignatureLog
from service.operations.log.tend import TendLogs
from service.operations.log.trust import TrustedLogs

__all__ = [
    "CollectCosignatures",
    "Consistency",
    "ExtendLog",
    "Inclusion",
    "LogNames",
    "LoggedAtRegistries",
    "Loss",
    "OurSignatures",
    "ProveEntries",
    "ReadAuditLog",
    "ReadLog",
    "RecoverLog",
    "RederiveLogs",
    "RollbackGuard",
    "SearchAudit",
    "Sighting",
    "Sightings",
    "SignHeads",
    "SignatureLog",
    "TakeEntries",
    "TendLogs",
    "TrustedLogs",
    "gather",
]
