"""Pools on a real token, without a keyring above them, and a key to sign with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

import hsm
from service.domain.clock import SystemClock
from service.keyring.gate import StoreGate
from tests.support.memory import MemoryLeases, MemoryPINLatch
from tests.support.softhsm import TokenFixture


@dataclass
class ECKey:
    """A P-256 key on the token, with its pinned public key."""

    made: hsm.NewKey

    def check(self, message: bytes) -> Callable[[bytes], None]:
        public = load_der_public_key(self.made.public_key)
        assert isinstance(public, ec.EllipticCurvePublicKey)
        return lambda signature: public.verify(signature, message, ec.ECDSA(SHA256()))

    def sign(self, pool: hsm.TokenPool, count: int = 1) -> list[bytes | hsm.HSMError]:
        messages = [f"message {n}".encode() for n in range(count)]
        items = [(message, self.check(message)) for message in messages]
        return hsm.sign(pool, self.made.cka_id, hsm.Scheme.ECDSA_P256_SHA256, items)


def new_pool(
    token: TokenFixture, *, sessions: int = 4, monotonic: Callable[[], float] = time.monotonic
) -> hsm.TokenPool:
    gate = StoreGate(MemoryPINLatch(), MemoryLeases(), SystemClock(), b"secret")
    address = hsm.TokenAddress(token.module, token.label, token.serial, token.pin_file)
    return hsm.TokenPool(address, gate, sessions=sessions, monotonic=monotonic)
