"""Entries that other signers' clients write into our log, over Rekor's own API.

Taken is only what verifies under a key that the trust policy names, or is ours and on record.
One by our own key that is on no record of ours was made past this service: a critical finding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from service.domain.audit import AuditEvent
from service.domain.errors import ForbiddenError, InvalidRequestError, LogUnavailableError
from service.domain.findings import SIGNATURE_NOT_ON_RECORD, NewFinding, Severity
from service.domain.keys import KeyVersion
from service.domain.limits import MAX_PAGE, WAIT_FOR_LOG_SECONDS
from service.domain.log import AdditionKind, LogName, LogProof
from service.domain.pages import PageRequest
from service.domain.public_keys import SignatureInvalidError
from service.formats.rekor_requests import (
    ProposedEntry,
    RequestMalformedError,
    parse_v1,
    parse_v2,
)
from service.operations.log.signatures import SignatureLog
from service.policy.trust import TrustPolicy
from service.ports.log import LogReader
from service.ports.store import AuditTrail, Findings, KeyCatalog


@dataclass(frozen=True, slots=True)
class TakeEntries:
    log: SignatureLog
    reader: LogReader
    keys: KeyCatalog
    policy: Callable[[], TrustPolicy]
    findings: Findings
    audit: AuditTrail

    def v1(self, body: Mapping[str, Any]) -> LogProof:
        """Log a request of Rekor v1, and return its proof with a promise.

        Raises:
            InvalidRequestError: it is none, or its signature is wrong.
            ForbiddenError: its key is not one that is trusted, or is ours and unrecorded.
            LogUnavailableError, LogRolledBackError, StoreUnavailableError.
        """
        return self.log.promised(self._take(parse_v1, body))

    def v2(self, body: Mapping[str, Any]) -> LogProof:
        """Log a request of Rekor v2, and return its proof. Raises as `v1`."""
        return self._take(parse_v2, body)

    def _take(
        self, parse: Callable[[Mapping[str, Any]], ProposedEntry], body: Mapping[str, Any]
    ) -> LogProof:
        try:
            proposed = parse(body)
        except (RequestMalformedError, SignatureInvalidError) as error:
            raise InvalidRequestError(str(error), errors={"entry": [str(error)]}) from error
        identity = proposed.identity()
        standing = self.log.prove.additions([identity]).get(identity)
        if standing is not None:
            return standing
        self._check_key(proposed)
        self.log.writer.add(AdditionKind.FOREIGN, identity, proposed.entry)
        if not self.log.extend(LogName.SIGNATURES, seconds=WAIT_FOR_LOG_SECONDS):
            raise LogUnavailableError("there is no log yet")
        made = self.log.prove.additions([identity]).get(identity)
        if made is None:
            raise LogUnavailableError("the entry is not in the log yet")
        return made

    def _check_key(self, proposed: ProposedEntry) -> None:
        version = self._own(proposed.key.der)
        if version is None:
            if self.policy().named(proposed.key.der) is None:
                raise ForbiddenError("the trust policy names no such key")
            return
        # Ours, whatever policy names: only our own record vouches for it.
        forms = proposed.key.forms(proposed.signature)
        if self.reader.has_signature(version.key, version.version, forms):
            return
        subject = f"{version.key}/{version.version} {proposed.artifact}"
        evidence = {
            "artifact": proposed.artifact,
            "entry": proposed.entry.decode(),
            "key": version.key,
            "version": version.version,
        }
        self.findings.open(
            NewFinding(SIGNATURE_NOT_ON_RECORD, Severity.CRITICAL, subject, evidence)
        )
        self.audit.append([AuditEvent("log-entry.refused", "anybody", subject, evidence)])
        raise ForbiddenError("a signature by a key of this service that is not on its record")

    def _own(self, spki: bytes) -> KeyVersion | None:
        cursor: str | None = None
        while True:
            page = self.keys.list(None, PageRequest(MAX_PAGE, cursor))
            for key in page.items:
                for version in key.versions:
                    if version.public_key == spki:
                        return version
            cursor = page.next
            if cursor is None:
                return None
