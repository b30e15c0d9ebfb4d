"""Sick tokens are skipped while another can sign, and asked behind everybody's back if they are well.

A request then pays for a token's failure once, when it fails, and not again for every time that
somebody looks after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import hsm
from service.domain.errors import ServiceError

log = logging.getLogger(__name__)

ASK_SECONDS: Final = 0.25  # between two questions: a token is used again within a second
_THREADS: Final = 4  # tokens that are sick at one time; another waits for its turn


class Revival:
    """One process's. Invariant: `_asked`, guarded by `_lock`, says of each pool when it may be
    asked next; infinity while it is being asked, so that one thread at a time does.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked: dict[hsm.TokenPool, float] = {}
        # Starts no thread before it is given work.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="revival")

    def order(self, pools: Sequence[hsm.TokenPool]) -> list[hsm.TokenPool]:
        """Return the pools in the order to try: those that are well first, each as given.

        Has the others asked, if any is well; if none is, whoever comes asks them itself.
        """
        well = [pool for pool in pools if not pool.is_sick]
        if not well or len(well) == len(pools):
            return list(pools)
        sick = [pool for pool in pools if pool not in well]
        for pool in sick:
            self._ask_soon(pool)
        return [*well, *sick]

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask_soon(self, pool: hsm.TokenPool) -> None:
        with self._lock:
            if self._monotonic() < self._asked.get(pool, 0.0):
                return
            self._asked[pool] = float("inf")
        self._threads.submit(self._ask, pool)

    def _ask(self, pool: hsm.TokenPool) -> None:
        try:
            hsm.probe(pool)
            log.info("token is well again", extra={"token": pool.address.shown})
        except (hsm.HSMError, ServiceError):
            pass  # it stays sick, and says so to whoever wants to know
        finally:
            with self._lock:
                self._asked[pool] = self._monotonic() + ASK_SECONDS
