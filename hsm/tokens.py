"""Tokens in slots: found by label and serial, looked at, and asked whether we are logged in.

Slot numbers are never kept: SoftHSM's change when a token is initialised, p11-kit's whenever
it likes. Everything here that takes a `Module` is called inside `Module.use`, except `slots`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pkcs11

from hsm.errors import HSMUnavailableError, TokenAbsentError
from hsm.module import Module, load


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """Which token of which module, and the files with its PIN. Serials are not unique."""

    module: Path
    label: str
    serial: str | None
    pin_file: Path
    pin_next_file: Path | None = None
    """The PIN that is tried where the other is refused: for a change without a gap."""
    init_args: str | None = None
    name: str = ""
    """What people call it, where that is not the label."""

    @property
    def pin_files(self) -> tuple[Path, ...]:
        return (
            (self.pin_file,) if self.pin_next_file is None else (self.pin_file, self.pin_next_file)
        )

    @property
    def shown(self) -> str:
        return self.name or self.label

    def is_called(self, text: str) -> bool:
        return text in (self.label, self.name)


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot with a token in it; `label` is None until the token is initialised."""

    label: str | None
    serial: str
    flags: tuple[str, ...]
    free_bytes: int | None


def slots(path: Path, init_args: str | None = None) -> list[Slot]:
    """Look at every slot of a module with a token in it; nobody logs in.

    Raises:
        HSMUnavailableError
    """
    module = load(path, init_args)
    try:
        with module.use():
            return [_look(module, token) for token in tokens(module)]
    except pkcs11.PKCS11Error as error:
        raise HSMUnavailableError(f"the PKCS#11 module {path.name} does not answer") from error


def _look(module: Module, token: pkcs11.Token) -> Slot:
    flags = token.flags
    initialized = pkcs11.TokenFlag.TOKEN_INITIALIZED in flags
    return Slot(
        label=token.label if initialized else None,
        serial=serial_of(token),
        flags=tuple(
            sorted(flag.name.lower() for flag in pkcs11.TokenFlag if flag in flags and flag.name)
        ),
        free_bytes=module.free_private_bytes(token.slot),
    )


@dataclass(frozen=True, slots=True)
class TokenMechanism:
    """CK_MECHANISM_INFO; the unit of the sizes is the mechanism's own, bits as a rule."""

    name: str
    min_key_size: int
    max_key_size: int
    flags: tuple[str, ...]


def mechanisms(address: TokenAddress) -> list[TokenMechanism]:
    """Tell what the token can do, by its own words; nobody logs in.

    Raises:
        HSMUnavailableError
    """
    module = load(address.module, address.init_args)
    try:
        with module.use():
            slot = find_token(module, address.label, address.serial).slot
            found = [_mechanism(slot, each) for each in slot.get_mechanisms()]
    except pkcs11.PKCS11Error as error:
        raise HSMUnavailableError(f"the token {address.label!r} does not answer") from error
    return sorted((each for each in found if each is not None), key=lambda each: each.name)


def _mechanism(slot: pkcs11.Slot, mechanism: pkcs11.Mechanism | int) -> TokenMechanism | None:
    try:
        info = slot.get_mechanism_info(mechanism)  # type: ignore[arg-type]  # takes numbers too
    except pkcs11.MechanismInvalid:
        return None  # listed, and not known to the same token a moment later
    # Vendors have numbers of their own.
    number = f"{int(mechanism):#010x}"
    return TokenMechanism(
        name=mechanism.name if isinstance(mechanism, pkcs11.Mechanism) else number,
        min_key_size=info.min_key_length or 0,
        max_key_size=info.max_key_length or 0,
        flags=tuple(f.name.lower() for f in pkcs11.MechanismFlag if f in info.flags and f.name),
    )


def serial_of(token: pkcs11.Token) -> str:
    return token.serial.decode("ascii", "replace").strip("\0 ")


def find_token(module: Module, label: str, serial: str | None) -> pkcs11.Token:
    """Return the only token with this label (and serial); inside `Module.use`.

    Raises:
        TokenAbsentError: there is none, or more than one.
    """
    found = [
        token
        for token in tokens(module)
        if token.label == label and (serial is None or serial_of(token) == serial)
    ]
    match found:
        case [token]:
            return token
        case []:
            raise TokenAbsentError(f"no slot holds a token {label!r}")
        case _:
            raise TokenAbsentError(f"{len(found)} tokens are named {label!r}: configure its serial")


def tokens(module: Module) -> list[pkcs11.Token]:
    """Return every token in a slot, initialised or not."""
    found = []
    for slot in module.slots():
        with suppress(pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised):
            found.append(slot.get_token())
    return found


def probe_login(session: pkcs11.Session) -> None:
    """Raise UserNotLoggedIn if the login is lost; searches then only look empty.

    Making a private object of the session needs a login, and nothing else that works on
    a read-only session does on every module.
    """
    # NSS, when logged in, dislikes the object.
    with suppress(pkcs11.AttributeValueInvalid):
        session.create_object(
            {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.DATA,
                pkcs11.Attribute.TOKEN: False,
                pkcs11.Attribute.PRIVATE: True,
                pkcs11.Attribute.LABEL: "login probe",
                pkcs11.Attribute.VALUE: b"1",
            }
        ).destroy()


def close(session: pkcs11.Session) -> None:
    # The session is given up in any case; what it says to that changes nothing.
    with suppress(pkcs11.PKCS11Error):
        session.close()
