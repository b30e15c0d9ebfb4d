"""What one process has made of a keyring's settings: pools, threads, and the guard."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import hsm
from service.keyring.guard import Guard, Vigilance
from service.keyring.revival import Revival

BATCH_THREADS: Final = 4  # where SoftHSM is fastest; each needs a session


class Runtime:
    """Made at first use and never shared with a child: threads and modules are a process's own.

    Without a `vigilance` a call that does not come back is given up, and nothing else happens.
    """

    def __init__(
        self,
        addresses: Sequence[hsm.TokenAddress],
        new_pool: Callable[[hsm.TokenAddress, Callable[[], None]], hsm.TokenPool],
        *,
        monotonic: Callable[[], float],
        vigilance: Vigilance | None,
        call_seconds: float,
        ended: Callable[[str], None],
    ) -> None:
        modules = {os.path.realpath(address.module): address for address in addresses}
        self._pools: dict[str, list[hsm.TokenPool]] = {module: [] for module in modules}
        init_args = {module: address.init_args for module, address in modules.items()}
        self.guard = None if vigilance is None else Guard(vigilance, self._pools, init_args, ended)
        made = []
        for address in addresses:
            module = os.path.realpath(address.module)
            pool = new_pool(address, partial(self._admit, module))
            self._pools[module].append(pool)
            made.append(pool)
        self.pools = tuple(made)
        self.revival = Revival(monotonic)
        # Starts no thread before it is given work.
        self.threads = ThreadPoolExecutor(BATCH_THREADS, thread_name_prefix="keyring")
        self._stop_watching = hsm.watch(self._stuck, call_seconds=call_seconds)

    def close(self) -> None:
        """Let the threads go. Sessions end with the process."""
        self._stop_watching()
        self.revival.close()
        if self.guard is not None:
            self.guard.stop()
        self.threads.shutdown()

    def _admit(self, module: str) -> None:
        if self.guard is not None:
            self.guard.admit(module)

    def _stuck(self, module: str) -> None:
        if module not in self._pools:
            return
        if self.guard is not None:
            self.guard.stuck(module)
            return
        for pool in self._pools[module]:
            pool.let_go()
