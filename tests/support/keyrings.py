"""Keyrings on real tokens, over the store's ports in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from hsm import CALL_SECONDS
from service.domain.clock import Clock, SystemClock
from service.keyring import Keyring, TokenConfig, Vigilance
from service.operations.readiness import require_token
from tests.support.memory import MemoryLeases, MemoryMeter, MemoryPINLatch


@dataclass
class Keyrings:
    """Makes keyrings that share a latch and leases, as the workers of one service do."""

    latch: MemoryPINLatch = field(default_factory=MemoryPINLatch)
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    closing: ExitStack = field(default_factory=ExitStack)

    def __call__(
        self,
        tokens: Sequence[TokenConfig],
        *,
        vigilance: Vigilance | None = None,
        call_seconds: float = CALL_SECONDS,
        clock: Clock | None = None,
    ) -> Keyring:
        made = Keyring(
            tokens,
            self.latch,
            self.leases,
            b"a secret of its own",
            clock or SystemClock(),
            meter=self.meter,
            vigilance=vigilance,
            call_seconds=call_seconds,
        )
        self.closing.callback(made.close)
        return made


def must_sign(keyring: Keyring) -> None:
    """Raise what keeps the keyring's tokens from signing, unless one can."""
    require_token(keyring.health())
