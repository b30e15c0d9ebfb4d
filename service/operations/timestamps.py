"""Our own time-stamping authority (RFC 3161): a query in, a reply out.

Anybody may ask: nothing but a hash comes in, and who asked matters to no verifier. Each token is
on record before it leaves, with its serial number.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Final

from service.domain.audit import AuditEvent
from service.domain.clock import Clock, rfc3339
from service.domain.errors import ServiceError, TimestampKeyMissingError
from service.domain.keys import Purpose
from service.domain.limits import MAX_PAGE
from service.domain.pages import PageRequest
from service.domain.public_keys import public_key
from service.domain.purposes import TimestampVersion, timestamp_versions
from service.formats import rfc3161
from service.ports.hsm import Signer, ToSign
from service.ports.store import AuditTrail, KeyCatalog

_SERIAL_BITS: Final = 127  # random, so that replicas need not agree on a counter
_ANYBODY: Final = "anybody"


@dataclass(frozen=True, slots=True)
class Timestamps:
    keys: KeyCatalog
    signer: Signer
    audit: AuditTrail
    clock: Clock

    def reply(self, query: bytes) -> bytes:
        """Answer a DER TimeStampReq with a DER TimeStampResp, which may be a rejection.

        Raises:
            TimestampKeyMissingError: no key can stamp, or none has a certificate that holds now.
            HSMUnavailableError, …: the last key that was tried could not be reached.
        """
        try:
            asked = rfc3161.parse_query(query)
        except rfc3161.QueryRefusedError as refused:
            return rfc3161.rejection(refused)
        failure: ServiceError = TimestampKeyMissingError()
        for version in self._usable():
            try:
                return self._stamped(asked, version)
            except ServiceError as error:
                failure = error
        raise failure

    def _stamped(self, asked: rfc3161.Query, version: TimestampVersion) -> bytes:
        scheme = rfc3161.scheme(version.algorithm)
        if scheme is None or version.chain is None:
            raise TimestampKeyMissingError
        chain = version.chain.certificates
        serial, at = secrets.randbits(_SERIAL_BITS) | 1, self.clock.now()
        prepared = rfc3161.prepare(asked, serial=serial, at=at, certificate=chain[0], scheme=scheme)
        message = prepared.to_be_signed
        check = partial(public_key(version.public_key).verify, scheme, message)
        [signature] = self.signer.sign(version, scheme, [ToSign(message, check)])
        if isinstance(signature, ServiceError):
            raise signature
        details = {
            "at": rfc3339(at.replace(microsecond=0)),
            "imprint": f"{asked.imprint_algorithm}:{asked.imprint.hex()}",
            "serial": f"{serial:x}",
        }
        # No token leaves before it is on record.
        self.audit.append([AuditEvent("timestamp.made", _ANYBODY, version.subject, details)])
        return rfc3161.reply(asked, prepared, signature, chain=chain, scheme=scheme)

    def _usable(self) -> list[TimestampVersion]:
        """Return the active versions whose chains hold now, the newest of the oldest key first."""
        now = self.clock.now()
        found = self.keys.list(Purpose.TIMESTAMP, PageRequest(MAX_PAGE)).items
        keys = sorted((k for k in found if k.active()), key=lambda k: (k.created_at, k.name))
        return [
            version
            for key in keys
            for version in reversed(timestamp_versions(key))
            if version.chain is not None
            and version.chain.not_before <= now <= version.chain.not_after
        ]
