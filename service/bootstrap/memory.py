"""Keeps a process of many threads small."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_ARENA_MAX: Final = -8  # malloc.h of glibc
ARENAS: Final = 2  # the interpreter lets one thread allocate at a time, C libraries more


def share_arenas() -> None:
    """Let the threads of this process share a few arenas of malloc (glibc; else nothing).

    By default each thread gets its own, and each keeps what its largest batch once needed:
    20 MB more for eight threads that have signed a thousand images each.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, ARENAS)
