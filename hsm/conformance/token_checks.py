"""The module and the token: what they say of themselves, logging in, and starting anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pkcs11
from pkcs11 import ObjectClass, TokenFlag

from hsm.conformance.bench import private_key, raw_sign
from hsm.conformance.results import Found, Verdict
from hsm.health import probe
from hsm.keys import matching
from hsm.tokens import serial_of, tokens

if TYPE_CHECKING:
    from hsm.conformance.bench import Bench

_RANDOM_BYTES: Final = 32
SESSIONS_NEEDED: Final = 10  # those of one process: its threads, its login, one that makes a key
_SESSIONS_TRIED: Final = 64


def locking(bench: Bench) -> Found:
    if bench.module.one_at_a_time:
        return Found(Verdict.LACKS, "cannot lock, or not well: our calls take turns")
    return Found(Verdict.WORKS, "takes CKF_OS_LOCKING_OK")


def token(bench: Bench) -> Found:
    with bench.session() as session:
        flags = session.token.slot.get_token().flags
    said = ", ".join(sorted(flag.name.lower() for flag in TokenFlag if flag in flags and flag.name))
    if TokenFlag.USER_PIN_INITIALIZED not in flags:
        return Found(Verdict.FAILS, f"has no user PIN by its flags: {said}")
    if TokenFlag.LOGIN_REQUIRED not in flags:
        return Found(Verdict.FAILS, f"wants no login by its flags: {said}")
    return Found(Verdict.WORKS, said)


def serial(bench: Bench) -> Found:
    with bench.session() as session:
        mine = serial_of(session.token)
        here = session.token.slot.slot_id
        others = [each for each in tokens(bench.module) if each.slot.slot_id != here]
        shared = [each for each in others if each.label and serial_of(each) == mine]
    if not mine.strip("0"):
        return Found(Verdict.LACKS, f"says nothing of it: {mine!r}; labels must tell tokens apart")
    if shared:
        return Found(Verdict.LIES, f"{mine!r} is that of another token too; labels must differ")
    return Found(Verdict.WORKS, mine)


def login(bench: Bench) -> Found:
    probe(bench.pool)
    return Found(Verdict.WORKS, "other sessions share it")


def random(bench: Bench) -> Found:
    with bench.session() as session:
        first, second = (session.generate_random(8 * _RANDOM_BYTES) for _ in range(2))
    if first == second or len(set(first)) == 1:
        return Found(Verdict.LIES, "random bytes repeat")
    return Found(Verdict.WORKS, f"{_RANDOM_BYTES} bytes, twice")


def sessions(bench: Bench) -> Found:
    with bench.session() as session:
        opened: list[pkcs11.Session] = []
        limit = ""
        try:
            while len(opened) < _SESSIONS_TRIED:
                opened.append(session.token.open())
        except pkcs11.PKCS11Error as error:
            limit = f", then {type(error).__name__}"
        finally:
            for each in opened:
                each.close()
    said = f"{len(opened)} beside those in use{limit}"
    if len(opened) < SESSIONS_NEEDED:
        return Found(Verdict.FAILS, f"{said}; each process wants {SESSIONS_NEEDED}")
    return Found(Verdict.LACKS if limit else Verdict.WORKS, said)


def lost_login(bench: Bench) -> Found:
    """Log out behind everybody's back: the old key must not sign, and we must find back."""
    made, scheme = bench.any_key()
    with bench.session() as session:
        key = private_key(session, made)
        bench.module.logout(session)
        try:
            raw_sign(key, scheme, b"logged out")
        except pkcs11.PKCS11Error as error:
            said = f"signing then says {type(error).__name__}"
            odd = not isinstance(error, _LOGIN_IS_LOST)
        else:
            said, odd = "the key goes on signing", True
        seen = matching(session, ObjectClass.PRIVATE_KEY, made.cka_id)
    said += ", and private keys are " + ("still found" if seen else "not found")
    bench.sign(made, scheme, [b"logged in again"])
    return Found(Verdict.LIES if odd or seen else Verdict.WORKS, said)


_LOGIN_IS_LOST: Final = (
    pkcs11.UserNotLoggedIn,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
)


def starting_anew(bench: Bench) -> Found:
    made, scheme = bench.any_key()
    bench.sign(made, scheme, [b"before"])
    bench.module.reinit(bench.module.epoch)
    bench.sign(made, scheme, [b"after"])
    return Found(Verdict.WORKS, "C_Finalize and C_Initialize; the keys are still there")
