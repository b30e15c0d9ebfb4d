"""Keeps a process of many threads small, and its collector out of the way."""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h of glibc
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
LARGE_BYTES: Final = 512 << 10  # fixed: glibc would raise it to the largest that was ever freed
KEPT_BYTES: Final = 1 << 20  # free at the end of an arena
ARENAS: Final = 2  # the interpreter lets one thread allocate at a time, C libraries more
LARGE_ANSWER_BYTES: Final = 256 << 10  # to a batch of about a hundred

YOUNG_OBJECTS: Final = 20_000  # made and not freed: a batch of 1,000 makes some 100,000


def share_arenas() -> None:
    """Let the threads of this process share a few arenas of malloc (glibc; else nothing).

    What is large, such as the answer to a batch, goes back to the kernel when it is freed.

    By default each thread gets its own, and each keeps what its largest batch once needed:
    20 MB more for eight threads that have signed a thousand images each.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, ARENAS)
            mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
            mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Return to the kernel what is free inside malloc's arenas (glibc; else nothing).

    A batch of 1,000 leaves 20 to 30 MB behind between blocks that live on, where no threshold
    reaches. Looking for it takes 2 ms.
    """
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)


def collect_seldom() -> None:
    """Tell the collector to leave alone what is built, and to look less often at the rest.

    Almost nothing here is freed by it: requests make no cycles. With Python's own thresholds it
    goes through the living objects of a batch a hundred times, a twentieth of all its work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
