"""Identifiers: theirs forever, guessed by nobody, and sorted by age."""

from __future__ import annotations

import re

from service.domain.clock import rough_millis
from service.domain.ids import new_id


def test_no_two_are_alike_and_each_is_safe_in_a_path() -> None:
    made = [new_id("sig") for _ in range(10_000)]
    assert len(set(made)) == len(made)
    assert all(re.fullmatch(r"sig_[0-9a-f]{32}", one) for one in made)


def test_later_ones_sort_behind_earlier_ones() -> None:
    first, until = new_id("sig"), rough_millis()
    while rough_millis() == until:
        pass
    assert first < new_id("sig")
