"""Where the signing cycle tells how far it has come: the seam for traces and fault drills."""

from __future__ import annotations

from typing import Protocol


class StepObserver(Protocol):
    def reached(self, step: int) -> None:
        """Called when a numbered step of docs/signing-cycle.md has just been done."""
        ...


class NoObserver:
    def reached(self, step: int) -> None:
        return None
