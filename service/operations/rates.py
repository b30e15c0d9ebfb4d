"""Who calls how often: limits of the policy, held by all processes together.

The buckets are rows of the store. A process takes a share out of one, a twentieth of the burst,
and lets callers go from that without asking again; so a request costs a write now and then, and
the bound is exact up to one share for each process: in any stretch of time at most what the
limit says, and what the processes had in hand when it began.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from service.domain.addresses import network_of
from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.errors import RateLimitedError
from service.domain.rates import RateLimit
from service.policy.rates import RatePolicy
from service.ports.rates import Buckets

MAX_NAMES: Final = 10_000  # the least recently seen are forgotten, with what was in hand for them
PATIENCE_SECONDS: Final = 1.0  # nobody is told to come back sooner


@dataclass(frozen=True, slots=True)
class _Hand:
    """What a process has in hand of one bucket, and until when it need not ask for more."""

    limit: RateLimit
    left: int
    empty_until: float = 0.0


class RateLimits:
    """`_lock` guards `_hands`, and is never held while the store is asked."""

    def __init__(self, buckets: Buckets, policy: Callable[[], RatePolicy], clock: Clock) -> None:
        self._buckets = buckets
        self._policy = policy
        self._clock = clock
        self._lock = Lock()
        self._hands: OrderedDict[str, _Hand] = OrderedDict()

    def call(self, caller: Caller) -> None:
        """Raises RateLimitedError; StoreUnavailableError."""
        limit = self._policy().of(caller)
        if limit is not None:
            self._take(f"credential {caller.credential_id}", limit)

    def write_from(self, address: str) -> None:
        """Count a call that writes and needs no credential.

        Raises:
            RateLimitedError, StoreUnavailableError.
        """
        self._take(f"address {network_of(address)}", self._policy().addresses)

    def _take(self, name: str, limit: RateLimit) -> None:
        now = self._clock.monotonic()
        with self._lock:
            hand = self._hands.get(name)
            if hand is not None and hand.limit == limit:
                if hand.left:
                    self._keep(name, _Hand(limit, hand.left - 1))
                    return
                if now < hand.empty_until:
                    raise RateLimitedError(retry_after=hand.empty_until - now)
        taken = self._buckets.take(name, limit, most=limit.share)
        if taken.count:
            with self._lock:
                # Of two threads that asked at once the second gives up what it need not have.
                self._keep(name, _Hand(limit, taken.count - 1))
            return
        # Not before it is worth while: under a flood a process asks once for each share.
        until_a_share = min(limit.share * limit.interval / 1_000_000, PATIENCE_SECONDS)
        wait = max(taken.wait_seconds, until_a_share)
        with self._lock:
            self._keep(name, _Hand(limit, 0, now + wait))
        raise RateLimitedError(retry_after=wait)

    def _keep(self, name: str, hand: _Hand) -> None:
        self._hands[name] = hand
        self._hands.move_to_end(name)
        while len(self._hands) > MAX_NAMES:
            self._hands.popitem(last=False)
