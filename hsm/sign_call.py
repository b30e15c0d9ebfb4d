"""C_SignInit and C_Sign, one after the other, with room for the signature from the start.

python-pkcs11 asks C_Sign for the length before each signature, however large a buffer it is
given: a third call, which to a network HSM is a third way there and back.
"""

from __future__ import annotations

import ctypes
from typing import Final

from hsm.cryptoki import CKR_OK, Cryptoki, error_of

_C_SIGN_INIT: Final = 42
_C_SIGN: Final = 43

_Number = ctypes.c_ulong
_Pointer = ctypes.c_void_p
_SIGN_INIT: Final = ctypes.CFUNCTYPE(_Number, _Number, _Pointer, _Number)
_SIGN: Final = ctypes.CFUNCTYPE(_Number, _Number, ctypes.c_char_p, _Number, _Pointer, _Pointer)


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM (PKCS#11 2.40, 3.4)."""

    _fields_ = (("mechanism", _Number), ("parameter", _Pointer), ("parameter_length", _Number))


class _PSSParameters(ctypes.Structure):
    """CK_RSA_PKCS_PSS_PARAMS (PKCS#11 2.40 current mechanisms, 2.1.9)."""

    _fields_ = (("hash", _Number), ("mgf", _Number), ("salt_length", _Number))


class SignCall:
    """Signs on one session at a time, for one thread: the buffers are its own."""

    def __init__(
        self,
        cryptoki: Cryptoki,
        mechanism: int,
        parameter: tuple[int, int, int] | None,
        *,
        room: int,
    ) -> None:
        """`parameter` is hash, MGF and salt length of PSS; `room` the longest signature in bytes."""
        self._cryptoki = cryptoki
        self._mechanism = _Mechanism(mechanism, None, 0)
        if parameter is not None:
            self._parameters = _PSSParameters(*parameter)
            self._mechanism.parameter = ctypes.addressof(self._parameters)
            self._mechanism.parameter_length = ctypes.sizeof(_PSSParameters)
        self._room: Final = room
        self._signature = ctypes.create_string_buffer(room)
        self._length = _Number()
        self._mechanism_at: Final = ctypes.addressof(self._mechanism)
        self._signature_at: Final = ctypes.addressof(self._signature)
        self._length_at: Final = ctypes.addressof(self._length)

    def __call__(self, session: int, key: int, data: bytes) -> bytes:
        """Return the raw signature.

        Raises:
            pkcs11.PKCS11Error: of the same class as python-pkcs11 would raise.
        """
        begin = _SIGN_INIT(self._cryptoki.address(_C_SIGN_INIT))
        returned = begin(session, self._mechanism_at, key)
        if returned != CKR_OK:
            raise error_of(returned)
        self._length.value = self._room
        sign = _SIGN(self._cryptoki.address(_C_SIGN))
        returned = sign(session, data, len(data), self._signature_at, self._length_at)
        if returned != CKR_OK:
            raise error_of(returned)
        return self._signature.raw[: self._length.value]
