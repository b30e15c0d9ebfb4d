"""The keyring: every configured token behind the ports of `service.ports.hsm`.

Nothing touches PKCS#11 before the first call, and what is then made belongs to that process:
a gunicorn master may build a keyring, and each worker gets pools and threads of its own.
"""

from __future__ import annotations

import atexit
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import hsm
from service.domain import errors
from service.domain.clock import Clock
from service.domain.errors import ServiceError
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    KeyVersion,
    Location,
    Scheme,
)
from service.keyring import custody, locations
from service.keyring.gate import StoreGate
from service.keyring.guard import Vigilance
from service.keyring.runtime import BATCH_THREADS, Runtime
from service.keyring.status import NOT_CONFIGURED, health, token_statuses
from service.keyring.translate import (
    ALGORITHMS,
    SCHEMES,
    SCHEMES_OF,
    generated_key,
    service_error,
    signing_error,
)
from service.ports.hsm import TokenHealth, TokenMechanism, TokenStatus, ToSign
from service.ports.metrics import (
    FAILOVERS,
    REINITIALISATIONS,
    RELOGINS,
    SIGNATURES,
    WATCHDOG_ENDS,
    Meter,
    NoMeter,
)
from service.ports.store import Leases, PINLatch

SESSIONS: Final = 8  # a process's request threads and the batch threads; small HSMs have few
MIN_CHUNK: Final = 8  # fewer signatures are not worth another thread
SLOW_SECONDS: Final = 0.002  # a signature: so slow a token is asked for a few of them side by side
MAX_CHUNK: Final = 64  # a re-initialisation waits for chunks to end, 0.2 s on a slow HSM


_UNCOUNTED: Final = NoMeter()
MADE: Final = "made"  # beside the codes of errors

_RECOVERIES: Final = MappingProxyType(
    {
        hsm.Recovery.RELOGIN: RELOGINS,
        hsm.Recovery.REINITIALISATION: REINITIALISATIONS,
    }
)


@dataclass(frozen=True, slots=True)
class TokenConfig:
    """A token that the service may use. The PIN comes as a file and never as a value."""

    module: Path
    label: str
    serial: str | None
    pin_file: Path
    pin_next_file: Path | None = None
    init_args: str | None = None
    name: str = ""


def address_of(token: TokenConfig) -> hsm.TokenAddress:
    return hsm.TokenAddress(
        token.module,
        token.label,
        token.serial,
        token.pin_file,
        pin_next_file=token.pin_next_file,
        init_args=token.init_args,
        name=token.name,
    )


class Keyring:
    """Signer, KeyMaker, KeyLocator and Tokens over one or more tokens. Safe for any number of threads."""

    def __init__(
        self,
        tokens: Sequence[TokenConfig],
        latch: PINLatch,
        leases: Leases,
        latch_secret: bytes,
        clock: Clock,
        *,
        meter: Meter = _UNCOUNTED,
        sessions: int = SESSIONS,
        vigilance: Vigilance | None = None,
        call_seconds: float = hsm.CALL_SECONDS,
    ) -> None:
        """`vigilance` is for processes that serve; `call_seconds` is when a call is stuck."""
        self._tokens = tuple(tokens)
        self._gate = StoreGate(latch, leases, clock, latch_secret)
        self._clock = clock
        self._meter = meter
        self._sessions = sessions
        self._vigilance = vigilance
        self._call_seconds = call_seconds
        self._is_slow = False  # as the last chunk was; a hint, so threads may race
        for token in self._tokens:
            shown = token.name or token.label
            for counter in (RELOGINS, REINITIALISATIONS, FAILOVERS):
                meter.count(counter, shown, by=0)
            meter.count(SIGNATURES, shown, MADE, by=0)
            meter.count(WATCHDOG_ENDS, Path(os.path.realpath(token.module)).name, by=0)
        # By process id, so that a forked child finds none. setdefault is atomic: no lock
        # is needed, which a fork could leave locked.
        self._runtimes: dict[int, Runtime] = {}

    # --- Signer -----------------------------------------------------------------------

    def sign(
        self, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> Sequence[bytes | ServiceError]:
        if scheme not in SCHEMES_OF[version.algorithm]:
            unfit = f"{scheme} does not fit a key of kind {version.algorithm}"
            return [errors.UnsupportedAlgorithmError(unfit) for _ in items]
        results: list[bytes | ServiceError | None] = [None] * len(items)
        waiting = list(range(len(items)))
        failed: hsm.TokenPool | None = None
        pools = self._pools_of(version.locations)
        ordered = self._runtime().revival.order(pools)
        if ordered[:1] != pools[:1]:
            failed = pools[0]
        for pool in ordered:
            if failed is not None:
                self._meter.count(FAILOVERS, failed.address.shown)
            signed = self._sign_on(pool, version, scheme, [items[index] for index in waiting])
            for index, result in zip(waiting, signed, strict=True):
                results[index] = _better(results[index], result)
            waiting = [index for index in waiting if not isinstance(results[index], bytes)]
            if not waiting:
                break
            failed = pool
        nowhere = f"no configured token holds the key {version.key!r}, version {version.version}"
        return [
            errors.HSMUnavailableError(nowhere) if result is None else result for result in results
        ]

    def _sign_on(
        self, pool: hsm.TokenPool, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> list[bytes | ServiceError]:
        def sign(chunk: Sequence[ToSign]) -> list[bytes | ServiceError]:
            pairs = [(item.message, item.check) for item in chunk]
            try:
                signed = hsm.sign(pool, version.cka_id, SCHEMES[scheme], pairs)
            except ServiceError as error:
                # The store was away when a login had to ask for the latch.
                return [error for _ in chunk]
            return [
                signing_error(result) if isinstance(result, hsm.HSMError) else result
                for result in signed
            ]

        results = self._in_chunks(sign, items)
        for result, count in Counter(_word(each) for each in results).items():
            self._meter.count(SIGNATURES, pool.address.shown, result, by=count)
        return results

    def _in_chunks(
        self,
        sign: Callable[[Sequence[ToSign]], list[bytes | ServiceError]],
        items: Sequence[ToSign],
    ) -> list[bytes | ServiceError]:
        least = 1 if self._is_slow else MIN_CHUNK
        each = -(-len(items) // min(BATCH_THREADS, self._sessions))
        size = min(max(each, least), MAX_CHUNK)

        def timed(chunk: Sequence[ToSign]) -> list[bytes | ServiceError]:
            began = self._clock.monotonic()
            signed = sign(chunk)
            self._is_slow = self._clock.monotonic() - began > SLOW_SECONDS * len(chunk)
            return signed

        if len(items) <= size:
            return timed(items)
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        signed = self._runtime().threads.map(timed, chunks)
        return [result for chunk in signed for result in chunk]

    def _pools_of(self, locations: Sequence[Location]) -> list[hsm.TokenPool]:
        """Return the pools that serve any of the locations, in the order of the settings."""
        present = [location for location in locations if location.state == "present"]
        return [
            pool
            for pool in self._runtime().pools
            if any(
                pool.address.label == location.token and pool.serial in (None, location.serial)
                for location in present
            )
        ]

    # --- KeyMaker ---------------------------------------------------------------------

    def generate(self, name: str, algorithm: Algorithm, token: str | None) -> GeneratedKey:
        pool = self._pool(token)
        try:
            return generated_key(hsm.generate(pool, ALGORITHMS[algorithm], label=name))
        except hsm.HSMError as error:
            raise service_error(error) from error

    def adopt(self, uri: str, public_key: bytes | None, *, allow_extractable: bool) -> GeneratedKey:
        return custody.adopt(
            self._runtime().pools, uri, public_key, allow_extractable=allow_extractable
        )

    def attributes(self, version: KeyVersion) -> Attributes:
        return custody.attributes(self._pools_of(version.locations), version)

    def destroy(self, version: KeyVersion) -> None:
        custody.destroy(self._pools_of(version.locations), version)

    # --- KeyLocator -------------------------------------------------------------------

    def locate(self, versions: Sequence[KeyVersion]) -> Sequence[tuple[Location, ...]]:
        return locations.locate(self._runtime().pools, versions)

    # --- Tokens -----------------------------------------------------------------------

    def status(self) -> Sequence[TokenStatus]:
        return token_statuses(self._runtime().pools)

    def health(self) -> Sequence[TokenHealth]:
        return [health(pool) for pool in self._runtime().pools]

    def mechanisms(self, token: str) -> Sequence[TokenMechanism]:
        away: ServiceError | None = None
        for pool in self._called(token):
            try:
                found = pool.call(partial(hsm.mechanisms, pool.address))
            except hsm.HSMError as error:
                away = away or service_error(error)
            else:
                return [
                    TokenMechanism(m.name, m.min_key_size, m.max_key_size, m.flags) for m in found
                ]
        raise away or errors.TokenNotFoundError(f"no token {token!r} is configured")

    def label_of(self, token: str) -> str:
        return self._called(token)[0].address.label

    def login_once(self, token: str) -> TokenStatus:
        pools = self._called(token)
        for pool in pools:
            # The latch is clear, so the next operation tries the PIN; if it is refused, that
            # latches it again before anybody else tries, clones of the token included.
            pool.retry_now()
            try:
                hsm.probe(pool)
            except hsm.PINRefusedError as error:
                raise service_error(error) from error
            except hsm.HSMError:
                pass  # told by the state
        statuses = token_statuses(pools)
        mine = pools[0].address.label
        return next(s for s in statuses if s.token == mine and s.state != NOT_CONFIGURED)

    # --- for doctor -------------------------------------------------------------------

    @property
    def pools(self) -> Sequence[hsm.TokenPool]:
        """This process's pools, for `service.keyring.diagnosis`."""
        return self._runtime().pools

    def start(self) -> None:
        """Begin to look after modules in quarantine, in a process that serves."""
        guard = self._runtime().guard
        if guard is not None:
            guard.start()
            # So that another process can probe at once, and need not wait for a lease's end.
            atexit.register(guard.stop)

    def close(self) -> None:
        """Let the threads go. Sessions end with the process."""
        self._runtime().close()

    def _runtime(self) -> Runtime:
        runtime = self._runtimes.get(os.getpid())
        if runtime is None:
            made = self._new_runtime()
            runtime = self._runtimes.setdefault(os.getpid(), made)
            if runtime is not made:
                made.close()
        return runtime

    def _new_runtime(self) -> Runtime:
        return Runtime(
            [address_of(token) for token in self._tokens],
            self._new_pool,
            monotonic=self._clock.monotonic,
            vigilance=self._vigilance,
            call_seconds=self._call_seconds,
            ended=self._count_end,
        )

    def _new_pool(self, address: hsm.TokenAddress, admit: Callable[[], None]) -> hsm.TokenPool:
        return hsm.TokenPool(
            address,
            self._gate,
            sessions=self._sessions,
            monotonic=self._clock.monotonic,
            noted=partial(self._note, address.shown),
            admit=admit,
        )

    def _count_end(self, module: str) -> None:
        self._meter.count(WATCHDOG_ENDS, Path(module).name)

    def _note(self, token: str, recovery: hsm.Recovery) -> None:
        self._meter.count(_RECOVERIES[recovery], token)

    def _pool(self, token: str | None) -> hsm.TokenPool:
        """Return the token of this name or label, or the only one; of clones the first that is well."""
        found = self._called(token) if token is not None else self._runtime().pools
        if not found:
            raise errors.TokenNotFoundError("no token is configured")
        if len({(pool.address.label, pool.address.serial) for pool in found}) > 1:
            raise errors.TokenNotFoundError(
                "more than one token fits: name one by its `name` in the tokens file"
            )
        return self._runtime().revival.order(found)[0]

    def _called(self, token: str) -> Sequence[hsm.TokenPool]:
        """Return the tokens of this name or label: more than one, where they are clones."""
        found = [pool for pool in self._runtime().pools if pool.address.is_called(token)]
        if not found:
            raise errors.TokenNotFoundError(f"no token {token!r} is configured")
        return found


def _word(result: bytes | ServiceError) -> str:
    return MADE if isinstance(result, bytes) else result.code


def _better(
    earlier: bytes | ServiceError | None, later: bytes | ServiceError
) -> bytes | ServiceError:
    """Of two locations' answers: a signature, else "could not" before "it is not there"."""
    if isinstance(earlier, ServiceError) and isinstance(later, ServiceError):
        return earlier if earlier.retryable else later
    return later
