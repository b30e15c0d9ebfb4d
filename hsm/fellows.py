"""Tokens that share a module: C_Initialize, which may bring one back, costs the others their sessions.

So a token that is in no slot has the module initialised again, as only that shows new tokens
and mends a broken connection; but seldom, while another token of the module answers: then
the connection is whole.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import pkcs11

from hsm.errors import TokenAbsentError

if TYPE_CHECKING:
    from hsm.pool import TokenPool

LOOK_ANEW_SECONDS: Final = 10.0  # how long a token that was just made may stay unseen

_ABSENT: Final = (
    TokenAbsentError,
    pkcs11.NoSuchToken,
    pkcs11.SlotIDInvalid,
    pkcs11.TokenNotPresent,
    pkcs11.TokenNotRecognised,
)

# The pools of each module. Without a lock, which a fork could leave locked: it only grows.
_users: dict[str, list[weakref.ref[TokenPool]]] = {}


class Fellowship:
    """What one token knows of the others in its module. Belongs to one pool."""

    def __init__(self, pool: TokenPool, monotonic: Callable[[], float]) -> None:
        self._me = weakref.ref(pool)
        self._monotonic = monotonic
        self._looked_anew: float | None = None
        self._users = _users.setdefault(os.path.realpath(pool.address.module), [])
        self._users.append(self._me)

    def may_initialize(self, error: Exception) -> bool:
        """Tell whether C_Initialize is called for by this error, whatever it costs the others."""
        if not isinstance(error, _ABSENT):
            return True
        now = self._monotonic()
        if self._looked_anew is None or now - self._looked_anew >= LOOK_ANEW_SECONDS:
            self._looked_anew = now
            return True
        return not self._another_answers()

    def _another_answers(self) -> bool:
        others = [user() for user in tuple(self._users) if user is not self._me]
        return any(other is not None and other.is_logged_in() for other in others)
