"""Judges signed entry timestamps (SETs): the log's key over an entry and a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from service.domain.keys import KeyVersion, Scheme
from service.domain.public_keys import SignatureInvalidError, public_key
from service.ports.proofs import UnverifiedPromise
from service.translog.logged import log_id, promise_message

_ACCURACY: Final = timedelta(seconds=1)  # of a time in whole seconds
_INVALID: Final = (SignatureInvalidError, ValueError, TypeError, OverflowError, OSError)
"""Also what numbers lead to that are none of 64 bits, or no time of a calendar."""


class PromiseInvalidError(ValueError):
    """It says nothing about the signature, or nobody who is trusted says it."""


def check_promise(
    found: UnverifiedPromise, bodies: frozenset[bytes], keys: Sequence[KeyVersion]
) -> datetime:
    """Return the end of the second that the log vouches for: it may have seen the entry then only.

    `keys` are trusted versions of log keys.

    Raises:
        PromiseInvalidError
    """
    promise = found.promise
    if found.body not in bodies:
        raise PromiseInvalidError("the entry of the log is about something else")
    key = next((k for k in keys if log_id(k.public_key) == promise.log_id), None)
    if key is None:
        raise PromiseInvalidError("the log is none that is trusted here")
    try:
        message = promise_message(
            found.body,
            index=found.index,
            log_id=promise.log_id,
            integrated_time=promise.integrated_time,
        )
        public_key(key.public_key).verify(Scheme.ECDSA_P256_SHA256, message, promise.signature)
        at = datetime.fromtimestamp(promise.integrated_time, UTC)
        latest = at + _ACCURACY
    except _INVALID as error:
        raise PromiseInvalidError("the log's promise does not verify") from error
    if at < key.created_at.replace(microsecond=0):
        raise PromiseInvalidError("the log's promise is older than its key")
    return latest
