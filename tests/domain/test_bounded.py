"""What others send is read to its end, or refused: never half of it, and never for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import bounded


@dataclass
class Dripping:
    """Sends one part after the other, each a second after the last. A clock, too."""

    parts: list[bytes] = field(default_factory=list)
    seconds: float = 0.0

    def read1(self, size: int) -> bytes:
        self.seconds += 1
        return self.parts.pop(0) if self.parts else b""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.seconds


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=9), st.integers(0, 90))
def test_what_fits_is_read_whole_and_what_does_not_is_refused(
    parts: list[bytes], most: int
) -> None:
    source = Dripping(list(parts))
    whole = b"".join(parts)
    if len(whole) <= most:
        assert bounded.read(source, most=most, until=99, clock=source) == whole
        return
    with pytest.raises(bounded.Unbounded, match=f"more than the {most} bytes"):
        bounded.read(source, most=most, until=99, clock=source)


def test_whoever_sends_single_bytes_for_ever_is_left_at_the_deadline() -> None:
    source = Dripping([b"x"] * 1000)
    with pytest.raises(bounded.Unbounded, match="too slow"):
        bounded.read(source, most=1000, until=10, clock=source)
    assert source.seconds == 11
    patient = Dripping([b"x"] * 9)
    assert bounded.read(patient, most=1000, until=10, clock=patient) == b"x" * 9
