"""The C functions that python-pkcs11 does not bind, called through ctypes (PKCS#11 2.40, 5).

These are C_Initialize with arguments, C_Finalize without the GIL, C_Login and C_Logout on a
session that is already open, C_InitToken, and C_GetTokenInfo with its memory figures; and for
`hsm.sign_call`, which makes fewer calls, C_SignInit and C_Sign.

They are called through python-pkcs11's own function list. A second one is of no use: p11-kit's
client and proxy return a new list, with state of its own, at each C_GetFunctionList.
"""

from __future__ import annotations

import ctypes
from types import MappingProxyType
from typing import Final

import pkcs11
from pkcs11 import _pkcs11

CKR_OK: Final = 0x00
CKR_CANT_LOCK: Final = 0x0A
CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190
CKR_CRYPTOKI_ALREADY_INITIALIZED: Final = 0x191

_CKF_OS_LOCKING_OK: Final = 0x02
_CKU_USER: Final = 1
_UNAVAILABLE: Final = ctypes.c_ulong(-1).value

_C_INITIALIZE: Final = 0
_C_FINALIZE: Final = 1
_C_GET_TOKEN_INFO: Final = 6
_C_INIT_TOKEN: Final = 9
_C_LOGIN: Final = 18
_C_LOGOUT: Final = 19
_FUNCTIONS: Final = 44  # as far as we need the list of CK_FUNCTION_LIST

_MAJOR_VERSIONS: Final = (2, 3)

# `cdef class HasFuncList`, the base of python-pkcs11's `lib`: a PyObject, then pointers to the
# lists of PKCS#11 2.40, 3.0 and 3.2.
_LIST_OWNER: Final = _pkcs11.lib.__mro__[1]
_LIST_OWNER_BYTES: Final = object.__basicsize__ + 3 * ctypes.sizeof(ctypes.c_void_p)

_LABEL_BYTES: Final = 32  # CK_TOKEN_INFO.label, padded with blanks

# As in python-pkcs11, which does not show its own table: a test compares the two.
_ERRORS: Final = MappingProxyType(
    {
        0x02: pkcs11.HostMemory,
        0x03: pkcs11.SlotIDInvalid,
        0x05: pkcs11.GeneralError,
        0x06: pkcs11.FunctionFailed,
        0x07: pkcs11.ArgumentsBad,
        0x08: pkcs11.NoEvent,
        0x10: pkcs11.AttributeReadOnly,
        0x11: pkcs11.AttributeSensitive,
        0x12: pkcs11.AttributeTypeInvalid,
        0x13: pkcs11.AttributeValueInvalid,
        0x20: pkcs11.DataInvalid,
        0x21: pkcs11.DataLenRange,
        0x30: pkcs11.DeviceError,
        0x31: pkcs11.DeviceMemory,
        0x32: pkcs11.DeviceRemoved,
        0x40: pkcs11.EncryptedDataInvalid,
        0x41: pkcs11.EncryptedDataLenRange,
        0x50: pkcs11.FunctionCancelled,
        0x54: pkcs11.FunctionNotSupported,
        0x60: pkcs11.KeyHandleInvalid,
        0x62: pkcs11.KeySizeRange,
        0x63: pkcs11.KeyTypeInconsistent,
        0x64: pkcs11.KeyNotNeeded,
        0x66: pkcs11.KeyNeeded,
        0x67: pkcs11.KeyIndigestible,
        0x69: pkcs11.KeyNotWrappable,
        0x6A: pkcs11.KeyUnextractable,
        0x70: pkcs11.MechanismInvalid,
        0x71: pkcs11.MechanismParamInvalid,
        0x82: pkcs11.ObjectHandleInvalid,
        0x90: pkcs11.OperationActive,
        0x91: pkcs11.OperationNotInitialized,
        0xA0: pkcs11.PinIncorrect,
        0xA1: pkcs11.PinInvalid,
        0xA2: pkcs11.PinLenRange,
        0xA3: pkcs11.PinExpired,
        0xA4: pkcs11.PinLocked,
        0xB0: pkcs11.SessionClosed,
        0xB1: pkcs11.SessionCount,
        0xB3: pkcs11.SessionHandleInvalid,
        0xB5: pkcs11.SessionReadOnly,
        0xB6: pkcs11.SessionExists,
        0xB7: pkcs11.SessionReadOnlyExists,
        0xB8: pkcs11.SessionReadWriteSOExists,
        0xC0: pkcs11.SignatureInvalid,
        0xC1: pkcs11.SignatureLenRange,
        0xD0: pkcs11.TemplateIncomplete,
        0xD1: pkcs11.TemplateInconsistent,
        0xE0: pkcs11.TokenNotPresent,
        0xE1: pkcs11.TokenNotRecognised,
        0xE2: pkcs11.TokenWriteProtected,
        0xF0: pkcs11.UnwrappingKeyHandleInvalid,
        0xF1: pkcs11.UnwrappingKeySizeRange,
        0xF2: pkcs11.UnwrappingKeyTypeInconsistent,
        0x100: pkcs11.UserAlreadyLoggedIn,
        0x101: pkcs11.UserNotLoggedIn,
        0x102: pkcs11.UserPinNotInitialized,
        0x104: pkcs11.AnotherUserAlreadyLoggedIn,
        0x105: pkcs11.UserTooManyTypes,
        0x110: pkcs11.WrappedKeyInvalid,
        0x112: pkcs11.WrappedKeyLenRange,
        0x113: pkcs11.WrappingKeyHandleInvalid,
        0x114: pkcs11.WrappingKeySizeRange,
        0x115: pkcs11.WrappingKeyTypeInconsistent,
        0x120: pkcs11.RandomSeedNotSupported,
        0x121: pkcs11.RandomNoRNG,
        0x130: pkcs11.DomainParamsInvalid,
        0x1B5: pkcs11.ExceededMaxIterations,
        0x1B8: pkcs11.PinTooWeak,
        0x1B9: pkcs11.PublicKeyInvalid,
        0x200: pkcs11.FunctionRejected,
    }
)


class _FunctionList(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_ubyte * 2),
        ("functions", ctypes.c_void_p * _FUNCTIONS),
    )


class _InitializeArgs(ctypes.Structure):
    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


class _TokenInfo(ctypes.Structure):
    _fields_ = (
        ("label", ctypes.c_char * _LABEL_BYTES),
        ("manufacturer", ctypes.c_char * 32),
        ("model", ctypes.c_char * 16),
        ("serial", ctypes.c_char * 16),
        ("flags", ctypes.c_ulong),
        ("max_session_count", ctypes.c_ulong),
        ("session_count", ctypes.c_ulong),
        ("max_rw_session_count", ctypes.c_ulong),
        ("rw_session_count", ctypes.c_ulong),
        ("max_pin_len", ctypes.c_ulong),
        ("min_pin_len", ctypes.c_ulong),
        ("total_public_memory", ctypes.c_ulong),
        ("free_public_memory", ctypes.c_ulong),
        ("total_private_memory", ctypes.c_ulong),
        ("free_private_memory", ctypes.c_ulong),
        ("hardware_version", ctypes.c_ubyte * 2),
        ("firmware_version", ctypes.c_ubyte * 2),
        ("utc_time", ctypes.c_char * 16),
    )


class Cryptoki:
    """The function list of one module. ctypes lets go of the GIL during each call."""

    def __init__(self, library: _pkcs11.lib) -> None:
        """Take the list out of python-pkcs11's object, which does not show it to Python.

        Raises:
            pkcs11.PKCS11Error: the object is not laid out as we know it.
        """
        if _LIST_OWNER.__basicsize__ != _LIST_OWNER_BYTES:
            raise pkcs11.PKCS11Error("this release of python-pkcs11 keeps its lists elsewhere")
        address = ctypes.c_void_p.from_address(id(library) + object.__basicsize__).value
        if address is None:
            raise pkcs11.PKCS11Error("the module has no function list")
        found = _FunctionList.from_address(address)
        if found.version[0] not in _MAJOR_VERSIONS:
            raise pkcs11.PKCS11Error(f"the module speaks version {found.version[0]}")
        self._functions = found.functions

    def address(self, index: int) -> int:
        """Return where a function is; read at each call, as C programs do through the list."""
        return int(self._functions[index])

    def _call(self, index: int, *arguments: object) -> int:
        function = ctypes.CFUNCTYPE(ctypes.c_ulong)(self.address(index))
        return int(function(*arguments))

    def initialize(self, init_args: str | None, *, locking: bool = True) -> int:
        """C_Initialize with CKF_OS_LOCKING_OK: we call from several threads.

        Without `locking` the caller promises one call at a time. `init_args` goes into
        pReserved, where NSS wants the description of its database.
        """
        if init_args is None and not locking:
            return self._call(_C_INITIALIZE, None)
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK if locking else 0)
        if init_args is not None:
            # NSS keeps pointing into it, so it has to stay where it is.
            self._init_args = ctypes.create_string_buffer(init_args.encode())
            arguments.reserved = ctypes.addressof(self._init_args)
        return self._call(_C_INITIALIZE, ctypes.byref(arguments))

    def finalize(self) -> int:
        return self._call(_C_FINALIZE, None)

    def login(self, session: int, pin: bytes) -> None:
        """C_Login as the normal user; a refusal leaves the session as it was."""
        _check(
            self._call(
                _C_LOGIN,
                ctypes.c_ulong(session),
                ctypes.c_ulong(_CKU_USER),
                ctypes.c_char_p(pin),
                ctypes.c_ulong(len(pin)),
            )
        )

    def logout(self, session: int) -> None:
        """C_Logout: of every session of this process with the token."""
        _check(self._call(_C_LOGOUT, ctypes.c_ulong(session)))

    def init_token(self, slot: int, so_pin: bytes, label: str) -> None:
        padded = label.encode().ljust(_LABEL_BYTES)
        if len(padded) > _LABEL_BYTES:
            raise ValueError(f"a token label has at most {_LABEL_BYTES} bytes")
        _check(
            self._call(
                _C_INIT_TOKEN,
                ctypes.c_ulong(slot),
                ctypes.c_char_p(so_pin),
                ctypes.c_ulong(len(so_pin)),
                ctypes.c_char_p(padded),
            )
        )

    def free_private_bytes(self, slot: int) -> int | None:
        """C_GetTokenInfo: the memory left for keys, or None where the token does not say."""
        info = _TokenInfo()
        _check(self._call(_C_GET_TOKEN_INFO, ctypes.c_ulong(slot), ctypes.byref(info)))
        figure = int(info.free_private_memory)
        return None if figure == _UNAVAILABLE else figure


def error_of(returned: int) -> pkcs11.PKCS11Error:
    """Return the error for a CK_RV; one that has no class of its own is of the base class."""
    return _ERRORS.get(returned, pkcs11.PKCS11Error)(f"CK_RV {returned:#x}")


def _check(returned: int) -> None:
    if returned != CKR_OK:
        raise error_of(returned)
