"""Which rung of the error ladder answers a PKCS#11 error (PKCS#11 2.40, section 11.1).

python-pkcs11 keeps only the class of a CK_RV, and gives codes that it does not know, those of
vendors among them, and CKR_CRYPTOKI_NOT_INITIALIZED the bare base class. So the table goes
by class, and whatever is not in it is taken for a broken connection.
"""

from __future__ import annotations

from enum import Enum, auto
from types import MappingProxyType
from typing import Final

import pkcs11


class Rung(Enum):
    """What is done about an error before the operation is tried again."""

    SESSION = auto()
    """Another session, all key handles looked up anew."""

    LOGIN = auto()
    """The login is gone: log in again, all key handles looked up anew."""

    MODULE = auto()
    """Ask for the token and take another session; if that fails, initialise the module again."""

    CAPACITY = auto()
    """The token is full or out of sessions: nothing of ours cures that, only time."""

    PIN = auto()
    """The PIN was refused: never tried again by itself."""

    CALLER = auto()
    """What was asked for cannot be done by this token or this key."""


_BY_RUNG: Final = {
    Rung.SESSION: (
        pkcs11.KeyHandleInvalid,
        pkcs11.ObjectHandleInvalid,
        pkcs11.OperationActive,
        pkcs11.OperationNotInitialized,
        pkcs11.SessionClosed,
        pkcs11.SessionExists,
        pkcs11.SessionHandleInvalid,
        pkcs11.UnwrappingKeyHandleInvalid,
        pkcs11.WrappingKeyHandleInvalid,
    ),
    Rung.LOGIN: (
        pkcs11.AnotherUserAlreadyLoggedIn,
        pkcs11.SessionReadOnlyExists,
        pkcs11.SessionReadWriteSOExists,
        pkcs11.UserAlreadyLoggedIn,
        pkcs11.UserNotLoggedIn,
        pkcs11.UserTooManyTypes,
    ),
    Rung.MODULE: (
        pkcs11.PKCS11Error,
        pkcs11.DeviceError,
        pkcs11.DeviceRemoved,
        pkcs11.FunctionCancelled,
        pkcs11.FunctionFailed,
        pkcs11.FunctionRejected,
        pkcs11.GeneralError,
        pkcs11.HostMemory,
        pkcs11.NoEvent,
        pkcs11.NoSuchToken,
        pkcs11.SlotIDInvalid,
        pkcs11.TokenNotPresent,
        pkcs11.TokenNotRecognised,
        # SoftHSM says so for a moment, while another process logs in.
        pkcs11.UserPinNotInitialized,
    ),
    Rung.CAPACITY: (
        pkcs11.DeviceMemory,
        pkcs11.SessionCount,
        pkcs11.TokenWriteProtected,
    ),
    Rung.PIN: (
        pkcs11.PinExpired,
        pkcs11.PinIncorrect,
        pkcs11.PinInvalid,
        pkcs11.PinLenRange,
        pkcs11.PinLocked,
        pkcs11.PinTooWeak,
    ),
    Rung.CALLER: (
        pkcs11.ArgumentsBad,
        pkcs11.AttributeReadOnly,
        pkcs11.AttributeSensitive,
        pkcs11.AttributeTypeInvalid,
        pkcs11.AttributeValueInvalid,
        pkcs11.DataInvalid,
        pkcs11.DataLenRange,
        pkcs11.DomainParamsInvalid,
        pkcs11.EncryptedDataInvalid,
        pkcs11.EncryptedDataLenRange,
        pkcs11.ExceededMaxIterations,
        pkcs11.FunctionNotSupported,
        pkcs11.KeyIndigestible,
        pkcs11.KeyNeeded,
        pkcs11.KeyNotNeeded,
        pkcs11.KeyNotWrappable,
        pkcs11.KeySizeRange,
        pkcs11.KeyTypeInconsistent,
        pkcs11.KeyUnextractable,
        pkcs11.MechanismInvalid,
        pkcs11.MechanismParamInvalid,
        pkcs11.MultipleObjectsReturned,
        pkcs11.MultipleTokensReturned,
        pkcs11.NoSuchKey,
        pkcs11.PublicKeyInvalid,
        pkcs11.RandomNoRNG,
        pkcs11.RandomSeedNotSupported,
        pkcs11.SessionReadOnly,
        pkcs11.SignatureInvalid,
        pkcs11.SignatureLenRange,
        pkcs11.TemplateIncomplete,
        pkcs11.TemplateInconsistent,
        pkcs11.UnwrappingKeySizeRange,
        pkcs11.UnwrappingKeyTypeInconsistent,
        pkcs11.WrappedKeyInvalid,
        pkcs11.WrappedKeyLenRange,
        pkcs11.WrappingKeySizeRange,
        pkcs11.WrappingKeyTypeInconsistent,
    ),
}

RUNGS: Final = MappingProxyType({kind: rung for rung, kinds in _BY_RUNG.items() for kind in kinds})

SESSION_IS_GONE: Final = (pkcs11.SessionClosed, pkcs11.SessionHandleInvalid)
"""After these the handle is not closed: a vendor may have given its number to somebody else."""


def rung(error: pkcs11.PKCS11Error) -> Rung:
    return RUNGS.get(type(error), Rung.MODULE)
