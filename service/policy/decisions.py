"""Decisions as values: allowed, or denied with every reason, not the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allow:
    """Every rule that was asked allowed it."""


@dataclass(frozen=True, slots=True)
class Deny:
    reasons: tuple[str, ...]


Decision = Allow | Deny


def all_of(answers: Sequence[Decision]) -> Decision:
    """Allow only if every rule allows. No rules at all means no."""
    if not answers:
        return Deny(("no rule covers this",))
    reasons = tuple(r for answer in answers if isinstance(answer, Deny) for r in answer.reasons)
    return Deny(reasons) if reasons else Allow()
