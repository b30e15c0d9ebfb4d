"""What can keep the development setup from starting."""

from __future__ import annotations

from typing import Final

USAGE: Final = 2
UNAVAILABLE: Final = 4


class SetupError(Exception):
    """The setup cannot go on; the text tells the person at the terminal what to do."""

    def __init__(self, message: str, *, exit_code: int = UNAVAILABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StoppedError(Exception):
    """A signal asked for the end before everything had started; not a failure."""
