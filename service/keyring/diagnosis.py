"""What is wrong with module, token and PIN file, and how to mend it: for `sealwright doctor`.

Looks from the outside in, and stops for a token at the first thing that is wrong, because the
rest would only repeat it. The PIN is tried through the same gate as always: one that was
refused before is not tried again, and one that is refused now is latched.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import hsm
from service.domain.errors import HSMQuarantinedError, PINRefusedError, ServiceError
from service.keyring.keyring import Keyring

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Finding(NamedTuple):
    """Something that was looked at; `problem` is None where nothing is wrong."""

    what: str
    problem: str | None
    cure: str


def diagnose(keyring: Keyring) -> list[Finding]:
    """Look at every configured token; never raises for what it finds."""
    pools = keyring.pools
    if not pools:
        cure = (
            "Set SEALWRIGHT_PKCS11_MODULE, SEALWRIGHT_TOKEN_LABEL and SEALWRIGHT_PIN_FILE, "
            "or list the tokens in the file that SEALWRIGHT_TOKENS_FILE names."
        )
        return [Finding("tokens", "no token is configured", cure)]
    return [finding for pool in pools for finding in _diagnose(pool)]


def _diagnose(pool: hsm.TokenPool) -> Iterator[Finding]:
    for check in (_module, _token, _pin_files, _login):
        for finding in check(pool):
            yield finding
            if finding.problem is not None:
                return


def _module(pool: hsm.TokenPool) -> Iterator[Finding]:
    yield _look_at_module(pool)


def _look_at_module(pool: hsm.TokenPool) -> Finding:
    path = pool.address.module
    what = f"PKCS#11 module {path}"
    if not path.is_file():
        cure = "Install the module (Debian: apt install softhsm2) or correct its path."
        return Finding(what, "there is no such file", cure)
    try:
        pool.slots()
    except hsm.ModuleQuarantinedError as error:
        return Finding(what, str(error), HSMQuarantinedError.cure)
    except hsm.HSMError as error:
        cure = (
            "Run `pkcs11-tool --module PATH -L`; see that the module's own configuration "
            "(SoftHSM: SOFTHSM2_CONF and its token directory) can be read by this user. "
            "NSS wants `init_args` in the tokens file."
        )
        return Finding(what, f"{error} ({error.__cause__})", cure)
    return Finding(what, None, "")


def _token(pool: hsm.TokenPool) -> Iterator[Finding]:
    yield _look_at_token(pool)


def _look_at_token(pool: hsm.TokenPool) -> Finding:
    address = pool.address
    label, serial = address.label, address.serial
    what = f"token {label!r}"
    if address.name not in ("", label):
        what = f"token {label!r} ({address.name})"
    try:
        slots = pool.slots()
    except hsm.HSMError as error:
        return Finding(what, str(error), "Look at the module.")
    fitting = [s for s in slots if s.label == label and serial in (None, s.serial)]
    match fitting:
        case [_]:
            return Finding(what, None, "")
        case []:
            there = ", ".join(f"{s.label!r} (serial {s.serial})" for s in slots if s.label)
            problem = f"no slot holds it; there are: {there or 'no initialised tokens'}"
            return Finding(what, problem, "Correct the label or serial, or initialise the token.")
        case _:
            problem = f"{len(fitting)} tokens have this label"
            return Finding(what, problem, "Configure the serial of the one that is meant.")


def _pin_files(pool: hsm.TokenPool) -> Iterator[Finding]:
    own, *later = pool.address.pin_files
    yield _look_at_pin_file(own)
    # That of a change need not be there; if it is, it will be used.
    yield from (_look_at_pin_file(path) for path in later if path.exists())


def _look_at_pin_file(path: Path) -> Finding:
    what = f"PIN file {path}"
    try:
        mode = path.stat().st_mode
        hsm.PIN.read(path)
    except FileNotFoundError:
        return Finding(what, "there is no such file", "Put the user PIN into it, with mode 0600.")
    except (OSError, hsm.PINUnreadableError) as error:
        cure = "Let the user that runs the service read it; it holds one line, the user PIN."
        return Finding(what, str(error), cure)
    if mode & _OTHERS:
        problem = f"others than its owner may use it (mode {stat.S_IMODE(mode):04o})"
        return Finding(what, problem, "chmod 0600")
    return Finding(what, None, "")


def _login(pool: hsm.TokenPool) -> Iterator[Finding]:
    what = f"login to {pool.address.label!r}"
    try:
        hsm.probe(pool)
    except hsm.PINRefusedError as error:
        yield Finding(what, str(error), PINRefusedError.cure)
    except hsm.HSMError as error:
        yield Finding(what, str(error), "See what the token's own tools and logs say.")
    except ServiceError as error:
        problem = f"the PIN was not tried: {error}"
        yield Finding(what, problem, "The latch of refused PINs is in the store: mend that first.")
    else:
        yield Finding(what, None, "")
