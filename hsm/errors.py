"""Every failure of a token that this package reports on purpose, and how each is answered.

One tree. `code` is stable; `str(error)` is safe to show a caller: it names tokens by their
labels, and never a PIN, a handle or a vendor's text. The PKCS#11 error goes along as the
cause, for the log.
"""

from __future__ import annotations

from typing import ClassVar


class HSMError(Exception):
    """Base of all expected failures of a token; anything else is a bug."""

    code: ClassVar[str]


class HSMUnavailableError(HSMError):
    """The token could not be asked; trying again later may help.

    Attributes:
        retry_after: seconds until the next attempt will be made, where that is known.
    """

    code = "hsm-unavailable"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModuleLoadError(HSMUnavailableError):
    """The module is not there, is no PKCS#11 module, or refuses to initialise."""

    code = "module-load"


class ModuleInheritedError(HSMUnavailableError):
    """This process was forked from one that had the module loaded; start it afresh.

    Neither the inherited state nor a new C_Initialize is safe then: a thread of the parent
    may have held one of the module's locks at the moment of the fork.
    """

    code = "module-inherited"


class CallStuckError(HSMUnavailableError):
    """A call has not come back from the module, so it cannot be initialised again."""

    code = "call-stuck"


class ModuleQuarantinedError(HSMUnavailableError):
    """A call to the module did not come back. It is left alone until a probe comes back."""

    code = "module-quarantined"


class TokenAbsentError(HSMUnavailableError):
    """No slot holds a token of this label and serial, or more than one does."""

    code = "token-absent"


class TokenBusyError(HSMUnavailableError):
    """The token has no session or no memory left, and did not get any in a while."""

    code = "token-busy"


class PINUnreadableError(HSMUnavailableError):
    """The PIN file cannot be read, is empty, or is not text."""

    code = "pin-unreadable"


class PINRefusedError(HSMError):
    """The token refused the PIN, now or earlier. It is not tried again by itself."""

    code = "pin-refused"


class KeyMissingError(HSMError):
    """The token answers and is logged in, and has no such private key."""

    code = "key-missing"


class KeyAmbiguousError(HSMError):
    """More than one private key has this CKA_ID: no telling which is meant."""

    code = "key-ambiguous"


class KeyAlreadyExistsError(HSMError):
    """Another key on the token has this CKA_ID."""

    code = "key-exists"


class KeyUnprotectedError(HSMError):
    """The token made a key that could leave it, so the key was destroyed again."""

    code = "key-unprotected"


class KeyUnfitError(HSMError):
    """The key that was found on the token is of no use to us; the message says why."""

    code = "key-unfit"


class UnsupportedMechanismError(HSMError):
    """The token, or this key on it, does not do what was asked."""

    code = "unsupported-mechanism"


class MechanismRefusedError(UnsupportedMechanismError):
    """The token refused, again and again, what it says that it can do."""

    code = "mechanism-refused"


class SignatureCheckError(HSMError):
    """The token returned signatures that did not pass the caller's check."""

    code = "signature-check"
