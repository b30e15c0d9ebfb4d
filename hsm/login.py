"""Logging in: the PIN from its file, and the gate that keeps refused PINs from being tried.

Tokens lock themselves after a few wrong PINs, some for good. So a login asks the gate, which
all processes share, whether this PIN was refused before; it waits for its turn, so that one
process tries and the others learn; and it tells the gate when the token says no.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import pkcs11

from hsm.errors import PINRefusedError, PINUnreadableError
from hsm.ladder import Rung, rung

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_PIN_BYTES: Final = 255  # the longest that any known token takes; more is the wrong file


@dataclass(frozen=True, slots=True)
class PIN:
    """A PIN that cannot be printed by accident."""

    _secret: str = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> PIN:
        """Read the file's only line. It is read again for each login, so that it can change.

        Raises:
            PINUnreadableError
        """
        try:
            content = path.read_bytes()[: MAX_PIN_BYTES + 3]
            text = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            # Not chained: the text of this error quotes what is in the file.
            raise PINUnreadableError(f"the PIN file {path.name} is not text") from None
        except OSError as error:
            raise PINUnreadableError(f"the PIN file {path.name} cannot be read") from error
        if not text or len(text.encode()) > MAX_PIN_BYTES or not text.isprintable():
            raise PINUnreadableError(f"the PIN file {path.name} does not hold one line with a PIN")
        return cls(text)

    def reveal(self) -> str:
        return self._secret


class PINGate(Protocol):
    """Shared by all processes that log in to the same tokens. `serial` is the token's own."""

    def is_latched(self, label: str, serial: str, pin: PIN) -> bool:
        """Tell whether the token has refused exactly this PIN, and nobody cleared that."""
        ...

    def latch(self, label: str, serial: str, pin: PIN) -> None:
        """Remember for all processes that the token refused this PIN; durable on return."""
        ...

    def turn(self, label: str, serial: str) -> AbstractContextManager[None]:
        """Hold the only right to log in to this token, or raise HSMUnavailableError."""
        ...


def log_in(
    gate: PINGate,
    *,
    label: str,
    serial: str,
    pin_files: Sequence[Path],
    attempt: Callable[[str], None],
) -> None:
    """Call `attempt` with the first PIN that the token takes; each is tried at most once.

    The first file is the PIN's own. The second, which need not exist, holds the one to which
    it is being changed, and is tried where the first is refused, now or earlier.

    Raises:
        PINRefusedError: every PIN was refused, now or earlier.
        PINUnreadableError
        pkcs11.PKCS11Error: the login failed for another reason, which says nothing of the PIN.
    """
    pins = _pins(pin_files)
    if all(gate.is_latched(label, serial, pin) for pin in pins):
        raise _refused_before(label)
    with gate.turn(label, serial):
        refused = _refused_before(label)
        for pin in pins:
            # Asked again: whoever had the turn before us may have found out.
            if gate.is_latched(label, serial, pin):
                continue
            try:
                attempt(pin.reveal())
            except pkcs11.PKCS11Error as error:
                if rung(error) is not Rung.PIN:
                    raise
                gate.latch(label, serial, pin)
                refused = PINRefusedError(f"the token {label!r} refused the PIN")
                refused.__cause__ = error
                if isinstance(error, pkcs11.PinLocked):
                    break  # no PIN helps now
            else:
                return
        raise refused


def _pins(files: Sequence[Path]) -> list[PIN]:
    own, *later = files
    return [PIN.read(own), *(PIN.read(path) for path in later if path.exists())]


def _refused_before(label: str) -> PINRefusedError:
    return PINRefusedError(f"the token {label!r} refused this PIN before; it is not tried again")
