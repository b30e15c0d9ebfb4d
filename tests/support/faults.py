"""Faults of a PKCS#11 module on demand: its function list is edited in this process's memory.

python-pkcs11 and `hsm.cryptoki` call through that list, so everything above it is the real
thing. A replaced function sees the arguments as integers and may call the original.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CKR_OK = 0x00

# Position in CK_FUNCTION_LIST, and number of arguments (PKCS#11 2.40, appendix of pkcs11f.h).
FUNCTIONS = {
    "C_Initialize": (0, 1),
    "C_Finalize": (1, 1),
    "C_GetTokenInfo": (6, 2),
    "C_GetMechanismList": (7, 3),
    "C_OpenSession": (12, 5),
    "C_CloseSession": (13, 1),
    "C_CloseAllSessions": (14, 1),
    "C_Login": (18, 4),
    "C_Logout": (19, 1),
    "C_CreateObject": (20, 4),
    "C_DestroyObject": (22, 2),
    "C_GetAttributeValue": (24, 4),
    "C_FindObjectsInit": (26, 3),
    "C_SignInit": (42, 3),
    "C_Sign": (43, 5),
    "C_GenerateKeyPair": (59, 8),
    "C_GenerateRandom": (64, 2),
}

Function = Callable[..., int]

_KEPT: list[object] = []
"""Every function that was ever put in: a thread may be inside when it is taken out again."""


def _slot(module: Path, name: str) -> tuple[ctypes.c_void_p, type[ctypes._CFuncPtr]]:
    listing = ctypes.c_void_p()
    assert ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(listing)) == CKR_OK
    index, count = FUNCTIONS[name]
    assert listing.value is not None
    address = listing.value + (1 + index) * ctypes.sizeof(ctypes.c_void_p)
    prototype = ctypes.CFUNCTYPE(ctypes.c_ulong, *[ctypes.c_void_p] * count)
    return ctypes.c_void_p.from_address(address), prototype


def original(module: Path, name: str) -> Function:
    """Return the function itself, to be called behind everybody's back."""
    slot, prototype = _slot(module, name)
    return prototype(slot.value)


@contextmanager
def replaced(module: Path, name: str, make: Callable[[Function], Function]) -> Iterator[None]:
    """Put `make(original)` in the place of the function, for a while."""
    slot, prototype = _slot(module, name)
    before = slot.value
    callback = prototype(make(prototype(before)))
    _KEPT.append(callback)
    slot.value = ctypes.cast(callback, ctypes.c_void_p).value
    try:
        yield
    finally:
        slot.value = before


@contextmanager
def failing(module: Path, name: str, code: int, *, times: int = 1) -> Iterator[list[int]]:
    """Let the next `times` calls return `code`; yields a list that grows with every call."""
    calls: list[int] = []

    def make(function: Function) -> Function:
        def call(*arguments: int) -> int:
            calls.append(code if len(calls) < times else CKR_OK)
            return code if calls[-1] == code and len(calls) <= times else function(*arguments)

        return call

    with replaced(module, name, make):
        yield calls


@contextmanager
def counted(module: Path, name: str) -> Iterator[list[int]]:
    """Yield a list that grows with every call."""
    with failing(module, name, CKR_OK, times=0) as calls:
        yield calls
