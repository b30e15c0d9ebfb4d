"""What verifiers read is kept signed: each key once, and none waits for a token that is away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from service.domain.errors import HSMUnavailableError, LogKeyMissingError
from service.domain.keys import KeyVersion, Purpose
from service.operations.published import KeepPublished
from tests.support.statements import a_version


@dataclass
class Token:
    """Certifies the keys whose names are not away; lists which it was asked for."""

    away: set[str]
    asked: list[str] = field(default_factory=list)

    def certified(self, version: KeyVersion) -> bytes:
        self.asked.append(version.key)
        if version.key in self.away:
            raise HSMUnavailableError(f"{version.key} is away")
        return b""


class Catalog:
    def trusted_by_purpose(self, purpose: Purpose) -> Sequence[KeyVersion]:
        assert purpose is Purpose.IMAGE
        return [a_version(b"", key=name) for name in ("a", "b")]


class NoLogKey:
    def current(self) -> None:
        raise LogKeyMissingError


def test_a_key_whose_token_is_away_keeps_no_other_waiting_and_is_certified_once_it_is_back() -> (
    None
):
    token = Token({"a"})
    keep = KeepPublished(Catalog(), cast("Any", token), cast("Any", NoLogKey()))
    for _ in range(2):
        with pytest.raises(HSMUnavailableError, match="a is away"):
            keep()
    token.away.clear()
    keep()
    keep()
    assert token.asked == ["a", "b", "a", "a"]
