"""How long to wait before trying again."""

from __future__ import annotations

import random


def backoff(attempts: int, *, cap: float) -> float:
    """Return seconds that double with each attempt, up to about `cap`."""
    return spread(min(0.5 * 2.0 ** min(attempts, 20), cap))


def spread(seconds: float) -> float:
    """Return about so many seconds, so that a thousand that wait do not come back at one moment."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311  # spreads load, hides nothing
