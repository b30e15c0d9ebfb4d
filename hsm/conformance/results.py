"""What a check finds, and whether that is acceptable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hsm.conformance.bench import Bench


class Verdict(StrEnum):
    WORKS = "works"
    LACKS = "lacks"
    """It does not do this, and says so."""
    LIES = "lies"
    """It says one thing and does another, or does what it must refuse."""
    FAILS = "fails"


class Found(NamedTuple):
    """A verdict, and what stands behind it in words."""

    verdict: Verdict
    detail: str


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a module. Without what is `needed` Sealwright cannot use it."""

    name: str
    title: str
    ask: Callable[[Bench], Found]
    needed: bool = False
    asked_for: bool = False
    """Whether it is put only to those who ask for it: it costs a try of the PIN."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What was asked."""

    module: str
    library: str
    token: str
    serial: str
    maker: str
    quirks: str


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a check. `known` is what the quirks table says of it."""

    name: str
    title: str
    needed: bool
    verdict: Verdict
    detail: str
    known: str | None = None

    @property
    def acceptable(self) -> bool:
        """Whether Sealwright can use such a module, and knows of what is odd about it."""
        if self.verdict is Verdict.WORKS:
            return True
        if self.needed:
            return False
        return self.verdict is Verdict.LACKS or self.known is not None
