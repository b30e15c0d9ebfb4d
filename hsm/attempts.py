"""Calls a module until it comes back. Run as a file, with the question as a line on its stdin.

Exits 0 as soon as one attempt has come back, whatever the module said: an error is for the ladder
of recovery to answer, only silence is what nobody else can stand. Each attempt is a process of
its own. The oldest is left waiting, because some HSMs go on with the calls that they held;
the others are replaced one after the other, because some answer new connections only. Where
stdin ends, whoever asked is gone, and so are all of these.

Imports the standard library only, so that it is up in a few hundredths of a second.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress

MOST_ATTEMPTS = 4  # at once; one that not even SIGKILL ends keeps its place
EVERY_SECONDS = 0.8  # so that one begins within a second of the HSM's return
ATTEMPT_SECONDS = 2.4
OLDEST_SECONDS = 30.0
_POLL_SECONDS = 0.02

# Positions in CK_FUNCTION_LIST (PKCS#11 2.40).
_C_INITIALIZE, _C_GET_SLOT_LIST, _C_GET_TOKEN_INFO = 0, 4, 6
_C_OPEN_SESSION, _C_CLOSE_SESSION, _C_GENERATE_RANDOM = 12, 13, 64

_CKR_CANT_LOCK = 0x0A
_CKF_OS_LOCKING_OK = 0x02
_CKF_SERIAL_SESSION = 0x04
_MOST_SLOTS = 64


def main() -> int:
    wanted = json.loads(sys.stdin.readline())
    attempts: dict[int, float] = {}
    next_at = time.monotonic()
    try:
        while True:
            now = time.monotonic()
            if _came_back(attempts, now):
                return 0
            if now >= next_at and len(attempts) < MOST_ATTEMPTS:
                attempts[_attempt(wanted["module"], wanted["init_args"])] = now
                next_at = now + EVERY_SECONDS
            if select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
                return 1
    finally:
        for pid in attempts:
            os.kill(pid, signal.SIGKILL)


def _came_back(attempts: dict[int, float], now: float) -> bool:
    oldest = next(iter(attempts), None)
    for pid, began in list(attempts.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            del attempts[pid]
            if status == 0:
                return True
        elif now - began >= (OLDEST_SECONDS if pid == oldest else ATTEMPT_SECONDS):
            os.kill(pid, signal.SIGKILL)
    return False


def _attempt(module: str, init_args: str | None) -> int:
    """Begin an attempt and return its pid. This process has no threads and loads no module."""
    pid = os.fork()
    if pid == 0:
        # A module that cannot be loaded does not hang either.
        with suppress(OSError, AttributeError):
            _call_all(module, init_args)
        os._exit(0)
    return pid


def _call_all(module: str, init_args: str | None) -> None:
    """Call what every operation begins with, short of a login; what is returned is ignored."""
    functions = ctypes.POINTER(ctypes.c_void_p)()
    if ctypes.CDLL(module).C_GetFunctionList(ctypes.byref(functions)):
        return

    def call(index: int, *arguments: object) -> int:
        # A CK_VERSION stands before the functions, padded to a pointer.
        return int(ctypes.CFUNCTYPE(ctypes.c_ulong)(functions[1 + index] or 0)(*arguments))

    reserved = None if init_args is None else ctypes.create_string_buffer(init_args.encode())
    if call(_C_INITIALIZE, _initialize_args(_CKF_OS_LOCKING_OK, reserved)) == _CKR_CANT_LOCK:
        call(_C_INITIALIZE, _initialize_args(0, reserved))
    slots, count = (ctypes.c_ulong * _MOST_SLOTS)(), ctypes.c_ulong(_MOST_SLOTS)
    if call(_C_GET_SLOT_LIST, ctypes.c_ubyte(1), slots, ctypes.byref(count)):
        return
    info, random = ctypes.create_string_buffer(512), ctypes.create_string_buffer(8)
    for slot in slots[: count.value]:
        call(_C_GET_TOKEN_INFO, ctypes.c_ulong(slot), info)
        session, flags = ctypes.c_ulong(), ctypes.c_ulong(_CKF_SERIAL_SESSION)
        if call(_C_OPEN_SESSION, ctypes.c_ulong(slot), flags, None, None, ctypes.byref(session)):
            continue
        call(_C_GENERATE_RANDOM, session, random, ctypes.c_ulong(len(random)))
        call(_C_CLOSE_SESSION, session)


def _initialize_args(flags: int, reserved: ctypes.Array[ctypes.c_char] | None) -> object:
    """CK_C_INITIALIZE_ARGS: four functions that we leave to the module, flags, reserved."""
    address = None if reserved is None else ctypes.addressof(reserved)
    return (ctypes.c_void_p * 6)(None, None, None, None, flags, address)


if __name__ == "__main__":
    sys.exit(main())
