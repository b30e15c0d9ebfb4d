"""What this process does about modules whose calls do not come back.

(1) Puts the module into quarantine, for all processes of the installation.
(2) Lets go of everybody who waits for it: they answer 503, with Retry-After.
(3) Ends this process in good order, because nothing else gets a thread out of such a call.
    One process at a time: the others have let go too and can serve everything else meanwhile.
(4) Probes, in a process of its own, until a call comes back; that lifts the quarantine.

A module in quarantine is neither loaded nor called here.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import hsm
from service.domain.errors import ServiceError
from service.keyring.prober import Prober
from service.ports.store import Leases, Quarantine

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 0.2  # how long what the store said is believed; recovery waits for it
PUT_SECONDS: Final = 1.0  # for the store; the process ends whether it answered or not
TURN_SECONDS: Final = 4.0  # for one process to end and its successor to be up
BACK_SECONDS: Final = 0.5  # within which the calls of an HSM that is back come back
_POLL_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Vigilance:
    """What a process needs to part with a frozen HSM.

    `installation` names the processes that share a machine and a configuration, and so a way
    to the HSM. `end` ends this process and does not return.
    """

    quarantine: Quarantine
    leases: Leases
    installation: str
    end: Callable[[], None]


class Guard:
    """Owned by one process.

    Invariants:
    - `_known` and `_until` are written under `_refreshing` (`_until` also set to 0 without it).
    - `_stuck` holds the modules in which threads of this very process are stuck: whatever the
      store says, they are of no use to it. Set operations are atomic.
    """

    def __init__(
        self,
        vigilance: Vigilance,
        pools: Mapping[str, Sequence[hsm.TokenPool]],
        init_args: Mapping[str, str | None],
        counted: Callable[[str], None],
    ) -> None:
        """`pools` and `init_args` by module; `counted` is told of the end, with its cause."""
        self._vigilance = vigilance
        self._pools = pools
        self._counted = counted
        self._refreshing = threading.Lock()
        self._known: frozenset[str] | None = None
        self._until = 0.0
        self._stuck: set[str] = set()
        self._prober = Prober(
            vigilance.quarantine,
            vigilance.leases,
            vigilance.installation,
            init_args,
            self._forget,
        )

    def start(self) -> None:
        """Begin to look after quarantines, those from before this process included."""
        self._prober.start()

    def stop(self) -> None:
        self._prober.stop()

    def admit(self, module: str) -> None:
        """Raise unless the module may be called.

        Raises:
            hsm.ModuleQuarantinedError
            StoreUnavailableError: the store has never answered yet.
        """
        if module in self._stuck or module in self._standing():
            raise hsm.ModuleQuarantinedError(
                "the HSM does not come back from calls, and is left alone until it does",
                retry_after=RETRY_SECONDS,
            )

    def stuck(self, module: str) -> None:
        """A call into the module does not come back. Called for each of them, by one thread."""
        first = module not in self._stuck
        if first:
            self._stuck.add(module)
            log.error("hsm.frozen", extra={"hsm_module": module})
            self._put(module)
            self._prober.wake()
        for pool in self._pools[module]:
            pool.let_go()
        if first:
            threading.Thread(
                target=self._end_in_turn, args=(module,), name="hsm-ending", daemon=True
            ).start()

    def _put(self, module: str) -> None:
        def put() -> None:
            try:
                self._vigilance.quarantine.put(module)
            except ServiceError as error:
                log.warning(
                    "not quarantined",
                    extra={"hsm_module": module, "code": error.code, "detail": str(error)},
                )
            self._forget()

        # The store may be as frozen as the HSM.
        putting = threading.Thread(target=put, name="hsm-quarantine", daemon=True)
        putting.start()
        putting.join(PUT_SECONDS)

    def _end_in_turn(self, module: str) -> None:
        owner = secrets.token_hex(8)
        back_since: float | None = None
        while any(pool.is_stuck for pool in self._pools[module]):
            if self._may_be_away(module):
                back_since = None
                may_end = self._has_turn(owner)
            else:
                # The HSM is back. Either our calls are too, any moment now, or never.
                back_since = back_since or time.monotonic()
                may_end = time.monotonic() - back_since >= BACK_SECONDS
            if may_end:
                self._end(module)
                return
            time.sleep(_POLL_SECONDS)
        # The calls came back after all, and with them the threads: nothing is lost here.
        self._stuck.discard(module)

    def _may_be_away(self, module: str) -> bool:
        try:
            return module in self._standing()
        except ServiceError:
            return True

    def _has_turn(self, owner: str) -> bool:
        vigilance = self._vigilance
        try:
            turn = vigilance.leases.acquire(
                f"hsm-end:{vigilance.installation}", owner=owner, seconds=TURN_SECONDS
            )
        except ServiceError:
            return True  # nobody can be asked, and an end is safe at any time
        return turn is not None

    def _end(self, module: str) -> None:
        log.error("hsm.watchdog-ends-process", extra={"hsm_module": module})
        try:
            self._counted(module)
            # Others can then probe at once, and need not wait for a lease's end.
            self._prober.stop()
        finally:
            self._vigilance.end()

    # --- what the store says ------------------------------------------------------------

    def _standing(self) -> frozenset[str]:
        known = self._known
        if known is not None and time.monotonic() < self._until:
            return known
        # Whoever comes while another asks believes what was known before, if anything was.
        if not self._refreshing.acquire(blocking=known is None):
            return known or frozenset()
        try:
            if self._known is None or time.monotonic() >= self._until:
                self._refresh()
            return self._known or frozenset()
        finally:
            self._refreshing.release()

    def _refresh(self) -> None:
        try:
            found = self._vigilance.quarantine.standing()
        except ServiceError:
            # Without the store no signature leaves anyway; the next operation will say so.
            if self._known is None:
                raise
        else:
            self._known = frozenset(each.module for each in found)
        self._until = time.monotonic() + FRESH_SECONDS

    def _forget(self) -> None:
        self._until = 0.0
