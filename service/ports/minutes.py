"""What minutes are made from, beside keys and approvals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An audit event: its number in the record, its exact bytes, and its leaf in the audit log.

    `index` is None while no tree holds it yet, which is for a moment or until there is a log.
    """

    sequence: int
    index: int | None
    at: datetime
    body: bytes


class CustodyRecord(Protocol):
    def about(self, subjects: Sequence[str], *, limit: int) -> Sequence[RecordedEvent]:
        """Return the latest events of these subjects, in sequence."""
        ...
