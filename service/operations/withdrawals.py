"""The signed list of withdrawals: public, stored, and signed anew only where that says more.

It is signed by the log key: the one key that is trusted for what the service says of itself,
and not for images. Whoever asks is answered with the list that stands, unless what is withdrawn
has changed since, or an hour has gone by; then one process signs, and the others wait for it.
A process that reaches no HSM leaves that to a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import (
    BusyError,
    LogKeyMissingError,
    ServiceError,
)
from service.domain.ids import new_id
from service.domain.keys import Purpose, Scheme
from service.domain.limits import MAX_PAGE
from service.domain.log import LogName
from service.domain.pages import PageRequest
from service.domain.public_keys import public_key
from service.domain.purposes import LogVersion, log_versions
from service.domain.withdrawals import (
    ISSUED_ANEW_AFTER,
    PAYLOAD_TYPE,
    VALID_FOR,
    WithdrawalList,
    content_of,
    items_of,
    payload_of,
)
from service.formats.dsse import pae
from service.ports.hsm import Signer, ToSign
from service.ports.log import LogReader
from service.ports.store import KeyCatalog, Leases, WithdrawalLists

SCHEME: Final = Scheme.ECDSA_P256_SHA256
LEASE: Final = "withdrawals"
LEASE_SECONDS: Final = 15.0  # one signature, with every rung of a failing HSM's ladder
WAIT_SECONDS: Final = 5.0  # for another process's list
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Withdrawals:
    catalog: KeyCatalog
    lists: WithdrawalLists
    log: LogReader
    signer: Signer
    leases: Leases
    clock: Clock
    may_issue: bool = True

    def current(self) -> WithdrawalList:
        """Return the list that holds now.

        A list that says all there is to say is answered for as long as it is valid, even while
        it cannot be signed anew; one that is silent about something never.

        Raises:
            LogKeyMissingError, BusyError, HSMUnavailableError, PINRefusedError,
            KeyMissingOnTokenError, SignatureCheckFailedError, LeaseLostError.
        """
        deadline = self.clock.monotonic() + WAIT_SECONDS
        pause = Event()
        while True:
            standing = self._standing()
            if standing is not None and self._is_fresh(standing):
                return standing
            if not self.may_issue:
                if standing is not None:
                    return standing
                raise BusyError("a worker is to sign the list of withdrawals", retry_after=5.0)
            issued = self._issue(standing)
            if issued is not None:
                return issued
            # Somebody else is signing at this moment.
            if standing is not None:
                return standing
            if self.clock.monotonic() >= deadline:
                raise BusyError("the list of withdrawals is being signed", retry_after=1.0)
            pause.wait(POLL_SECONDS)

    def _standing(self) -> WithdrawalList | None:
        """Return the newest list if it is valid and says everything."""
        latest = self.lists.latest()
        if latest is None or latest.valid_until <= self.clock.now():
            return None
        content = content_of(items_of(self.catalog.compromised()))
        return latest if latest.content == content else None

    def _is_fresh(self, issued: WithdrawalList) -> bool:
        return self.clock.now() - issued.issued_at < ISSUED_ANEW_AFTER

    def _issue(self, standing: WithdrawalList | None) -> WithdrawalList | None:
        """Sign and keep a new list; None if somebody else does so now.

        Where that fails, `standing` is answered. The lease is then left to run out, so that the
        next who ask need not find out for themselves that the HSM is away.
        """
        lease = self.leases.acquire(LEASE, owner=new_id("own"), seconds=LEASE_SECONDS)
        if lease is None:
            return None
        try:
            known = self._standing()
            if known is None or not self._is_fresh(known):
                made = self._signed()
                known = made if self.lists.add(made) else None
        except ServiceError:
            if standing is not None:
                return standing
            self.leases.release(lease)
            raise
        self.leases.release(lease)
        return known

    def _signed(self) -> WithdrawalList:
        """Sign with the newest active version; where its token is away, with the one before it."""
        latest = self.lists.latest()
        head = self.log.newest(LogName.SIGNATURES)
        items = items_of(self.catalog.compromised())
        now = self.clock.now()
        sequence = 1 if latest is None else latest.sequence + 1
        payload = payload_of(
            items,
            sequence=sequence,
            issued_at=now,
            valid_until=now + VALID_FOR,
            checkpoint=None if head is None else head.note,
        )
        signer, signature = self._sign(pae(payload, PAYLOAD_TYPE))
        return WithdrawalList(
            sequence=sequence,
            issued_at=now,
            valid_until=now + VALID_FOR,
            content=content_of(items),
            key=signer.key,
            version=signer.version,
            fingerprint=signer.fingerprint,
            payload=payload,
            signature=signature,
        )

    def _sign(self, message: bytes) -> tuple[LogVersion, bytes]:
        failure: ServiceError = LogKeyMissingError()
        for signer in reversed(self._log_versions()):
            check = partial(public_key(signer.public_key).verify, SCHEME, message)
            [result] = self.signer.sign(signer, SCHEME, [ToSign(message, check)])
            if not isinstance(result, ServiceError):
                return signer, result
            failure = result
        raise failure

    def _log_versions(self) -> tuple[LogVersion, ...]:
        """Return the active versions of the oldest log key that has any; it signs the log too."""
        found = self.catalog.list(Purpose.LOG, PageRequest(MAX_PAGE)).items
        usable = sorted((k for k in found if k.active()), key=lambda k: (k.created_at, k.name))
        return log_versions(usable[0]) if usable else ()
