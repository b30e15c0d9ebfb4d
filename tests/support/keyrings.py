"""Keyrings on real tokens, over the store's ports in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from service.domain.clock import SystemClock
from service.keyring import Keyring, TokenConfig
from tests.support.memory import MemoryLeases, MemoryMeter, MemoryPINLatch


@dataclass
class Keyrings:
    """Makes keyrings that share a latch and leases, as the workers of one service do."""

    latch: MemoryPINLatch = field(default_factory=MemoryPINLatch)
    leases: MemoryLeases = field(default_factory=MemoryLeases)
    meter: MemoryMeter = field(default_factory=MemoryMeter)
    closing: ExitStack = field(default_factory=ExitStack)

    def __call__(self, tokens: Sequence[TokenConfig]) -> Keyring:
        made = Keyring(
            tokens,
            self.latch,
            self.leases,
            b"a secret of its own",
            SystemClock(),
            meter=self.meter,
        )
        self.closing.callback(made.close)
        return made
