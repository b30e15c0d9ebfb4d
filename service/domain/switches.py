"""Switches of the whole service, for all its processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Switch:
    """Whether it is on, and who has turned it last, when and why; None: nobody ever has."""

    is_on: bool = False
    reason: str | None = None
    actor: str | None = None
    at: datetime | None = None
