"""The gate before every login: what the token refused once, no process tries by itself again.

A row of the latch holds the token's label and an HMAC-SHA256 (RFC 2104) of label, serial and
PIN under a secret of its own: a plain hash of a PIN is found by trying them all.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import hsm
from service.domain.clock import Clock
from service.ports.store import Lease, Leases, PINLatch

LOGIN_LEASE_SECONDS: Final = 10.0  # a login takes milliseconds; a dead process holds it so long
TURN_SECONDS: Final = 12.0  # longer than that lease, so that its end is lived to see
_POLL_SECONDS: Final = 0.02  # a login on a network HSM


@dataclass(frozen=True, slots=True)
class StoreGate:
    """`hsm.PINGate` over the store's latch and leases."""

    latched: PINLatch
    leases: Leases
    clock: Clock
    secret: bytes = field(repr=False)

    def is_latched(self, label: str, serial: str, pin: hsm.PIN) -> bool:
        return self.latched.is_latched(label, self._fingerprint(label, serial, pin))

    def latch(self, label: str, serial: str, pin: hsm.PIN) -> None:
        self.latched.latch(label, self._fingerprint(label, serial, pin))

    @contextmanager
    def turn(self, label: str, serial: str) -> Iterator[None]:
        lease = self._acquire(f"login:{label}:{serial}", label)
        try:
            yield
        finally:
            self.leases.release(lease)

    def _acquire(self, name: str, label: str) -> Lease:
        owner = secrets.token_hex(8)
        deadline = self.clock.monotonic() + TURN_SECONDS
        while True:
            lease = self.leases.acquire(name, owner=owner, seconds=LOGIN_LEASE_SECONDS)
            if lease is not None:
                return lease
            if self.clock.monotonic() >= deadline:
                raise hsm.HSMUnavailableError(f"others keep logging in to the token {label!r}")
            time.sleep(_POLL_SECONDS)

    def _fingerprint(self, label: str, serial: str, pin: hsm.PIN) -> str:
        parts = (label.encode(), serial.encode(), pin.reveal().encode())
        # Each part behind its length, so that no two sets of parts look the same.
        message = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return hmac.new(self.secret, message, sha256).hexdigest()


class LoneGate:
    """A gate in memory, for a process that is alone with a token and tries a PIN by hand."""

    def __init__(self) -> None:
        self._refused: set[tuple[str, str, str]] = set()

    def is_latched(self, label: str, serial: str, pin: hsm.PIN) -> bool:
        return (label, serial, pin.reveal()) in self._refused

    def latch(self, label: str, serial: str, pin: hsm.PIN) -> None:
        self._refused.add((label, serial, pin.reveal()))

    @contextmanager
    def turn(self, label: str, serial: str) -> Iterator[None]:
        yield
