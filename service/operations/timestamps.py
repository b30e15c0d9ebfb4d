"""Our own time-stamping authority (RFC 3161): a query in, a reply out.

Anybody may ask: nothing but a hash comes in, and who asked matters to no verifier. Each token is
on record before it leaves, with its serial number; those over our own signatures are kept whole,
beside what they are over (`service.operations.stamp`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Final

from service.domain.audit import AuditEvent
from service.domain.clock import Clock, rfc3339
from service.domain.errors import ServiceError, TimestampKeyMissingError
from service.domain.keys import KeyState, Purpose
from service.domain.limits import MAX_PAGE
from service.domain.pages import PageRequest
from service.domain.public_keys import public_key
from service.domain.purposes import TimestampVersion, timestamp_versions
from service.domain.signing import OWN_AUTHORITY, Timestamp
from service.formats import rfc3161
from service.ports.hsm import Signer, ToSign
from service.ports.store import AuditTrail, KeyCatalog

_SERIAL_BITS: Final = 127  # random, so that replicas need not agree on a counter
_ANYBODY: Final = "anybody"


@dataclass(frozen=True, slots=True)
class Timestamps:
    """Also a `service.ports.timestamps.TimestampAuthority`, for what this service itself signs."""

    keys: KeyCatalog
    signer: Signer
    audit: AuditTrail
    clock: Clock
    name: str = OWN_AUTHORITY

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
        [made] = self._made([asked])
        if isinstance(made, ServiceError):
            raise made
        details = {
            "at": rfc3339(made.at),
            "imprint": f"{asked.imprint_algorithm}:{asked.imprint.hex()}",
            "serial": f"{made.serial:x}",
        }
        # No token leaves before it is on record.
        self.audit.append([AuditEvent("timestamp.made", _ANYBODY, made.version, details)])
        return made.reply

    def stamp(
        self, messages: Sequence[bytes], *, seconds: float
    ) -> Sequence[Timestamp | ServiceError]:
        # Nothing repeats a query, so that a nonce would only make the token longer.
        asked = [rfc3161.Query("sha256", sha256(m).digest(), None, True) for m in messages]
        return [
            made if isinstance(made, ServiceError) else Timestamp(self.name, made.at, made.reply)
            for made in self._made(asked)
        ]

    def is_ours(self) -> bool:
        """Whether there is an active version with certificates, be they valid now or not."""
        versions = self.keys.trusted_by_purpose(Purpose.TIMESTAMP)
        return any(v.state is KeyState.ACTIVE and v.chain is not None for v in versions)

    def _made(self, asked: Sequence[rfc3161.Query]) -> Sequence[_Made | ServiceError]:
        """Stamp all by one version, and what it could not by the next."""
        made: list[_Made | ServiceError] = [TimestampKeyMissingError() for _ in asked]
        for version in self._usable():
            missing = [n for n, one in enumerate(made) if isinstance(one, ServiceError)]
            if not missing:
                break
            stamped = self._by(version, [asked[number] for number in missing])
            for number, one in zip(missing, stamped, strict=True):
                made[number] = one
        return made

    def _by(
        self, version: TimestampVersion, asked: Sequence[rfc3161.Query]
    ) -> Sequence[_Made | ServiceError]:
        scheme = rfc3161.scheme(version.algorithm)
        if scheme is None or version.chain is None:
            return [TimestampKeyMissingError() for _ in asked]
        chain = version.chain.certificates
        at = self.clock.now().replace(microsecond=0)
        serials = [secrets.randbits(_SERIAL_BITS) | 1 for _ in asked]
        prepared = [
            rfc3161.prepare(one, serial=serial, at=at, certificate=chain[0], scheme=scheme)
            for one, serial in zip(asked, serials, strict=True)
        ]
        verify = public_key(version.public_key).verify
        items = [
            ToSign(one.to_be_signed, partial(verify, scheme, one.to_be_signed)) for one in prepared
        ]
        try:
            signed = self.signer.sign(version, scheme, items)
        except ServiceError as error:
            return [error] * len(asked)
        return [
            signature
            if isinstance(signature, ServiceError)
            else _Made(
                version.subject,
                serial,
                at,
                rfc3161.reply(one, ready, signature, chain=chain, scheme=scheme),
            )
            for one, serial, ready, signature in zip(asked, serials, prepared, signed, strict=True)
        ]

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


@dataclass(frozen=True, slots=True)
class _Made:
    """A token, its serial number and time, and the version that made it."""

    version: str
    serial: int
    at: datetime
    reply: bytes
