"""Waits for what is meant to happen, on a machine of any pace; what never does is told why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 120.0


def until(
    look: Callable[[], T], told: Callable[[], object] = lambda: "", *, pause: float = 0.05
) -> T:
    """Look until there is something (true), and return it; `told` says what there was instead."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, told()
        time.sleep(pause)
    return found
