"""Throughput of a closed loop, without the bias of its beginning and end.

Requests overlap the borders of the time that is measured. Each counts with the part of its
duration that lies inside, so that a window of a few long requests is not rounded to whole ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One request, from its first byte sent to the last byte of its answer."""

    began: float
    ended: float


def requests_inside(spans: Sequence[Span], begin: float, end: float) -> float:
    """Return how many requests were done between `begin` and `end`, parts included."""
    return sum(_part(span, begin, end) for span in spans)


def _part(span: Span, begin: float, end: float) -> float:
    inside = min(span.ended, end) - max(span.began, begin)
    if inside <= 0:
        return 0.0
    return inside / (span.ended - span.began)
