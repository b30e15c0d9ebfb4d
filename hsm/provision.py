"""Initialising a token: C_InitToken, then C_InitPIN by the security officer (PKCS#11 2.40, 5.5).

Belongs into a process of its own: a module that other threads use is not initialised again
for this, and a token that was made here is seen by others only once they do that.
"""

from __future__ import annotations

from pathlib import Path

import pkcs11

from hsm.errors import HSMUnavailableError, PINRefusedError, TokenAbsentError
from hsm.ladder import Rung, rung
from hsm.login import PIN
from hsm.module import Module, load
from hsm.tokens import close, serial_of, tokens


def init_token(path: Path, label: str, *, so_pin: PIN, pin: PIN) -> str:
    """Make sure that there is a token of this label with a user PIN; return its serial.

    A token that has both is left alone, whatever its PINs are. One that was left without a
    user PIN, by a process that died in between, gets it.

    Raises:
        HSMUnavailableError, TokenAbsentError, PINRefusedError
    """
    module = load(path)
    try:
        with module.use() as epoch:
            known = _find(module, label)
            if known is None:
                module.init_token(_empty(module), so_pin.reveal(), label)
        if known is None:
            # SoftHSM gives the token another slot, and shows it after C_Initialize only.
            module.reinit(epoch)
        with module.use():
            token = _find(module, label)
            if token is None:
                raise TokenAbsentError(f"the token {label!r} was made, but is in no slot")
            if pkcs11.TokenFlag.USER_PIN_INITIALIZED not in token.flags:
                session = token.open(rw=True, so_pin=so_pin.reveal())
                try:
                    session.init_pin(pin.reveal())
                finally:
                    close(session)
            return serial_of(token)
    except pkcs11.PKCS11Error as error:
        if rung(error) is Rung.PIN:
            raise PINRefusedError(f"the token {label!r} refused the PIN") from error
        raise HSMUnavailableError(f"the token {label!r} could not be made") from error


def _find(module: Module, label: str) -> pkcs11.Token | None:
    found = [
        token
        for token in tokens(module)
        if token.label == label and pkcs11.TokenFlag.TOKEN_INITIALIZED in token.flags
    ]
    match found:
        case []:
            return None
        case [token]:
            return token
        case _:
            raise TokenAbsentError(f"{len(found)} tokens are named {label!r}")


def _empty(module: Module) -> pkcs11.Slot:
    for token in tokens(module):
        if pkcs11.TokenFlag.TOKEN_INITIALIZED not in token.flags:
            return token.slot
    raise TokenAbsentError("no slot holds a token that is not initialised yet")
