"""Step 10 of the signing cycle, second half: what is to carry a time stamp gets it, or stays.

A stamp is over the signature, so it is asked for when that is on record, and recorded itself
before anything is assembled from it. The first authority that answers is the one; who cannot be
reached is passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from service.domain.clock import Clock
from service.domain.errors import ServiceError, TimestampUnavailableError
from service.domain.limits import WAIT_FOR_TIMESTAMPS_SECONDS
from service.domain.signing import Signature, Timestamp
from service.ports.formats import RecordedFormat
from service.ports.store import TimestampBook
from service.ports.timestamps import TimestampAuthority

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 2.0  # authorities of others are not to be asked in a hurry
KNOWN_SECONDS: Final = 1.0  # an order is delivered again long after its request has failed


class StampSignatures:
    """May be used by several threads at once."""

    def __init__(
        self,
        authorities: Sequence[TimestampAuthority],
        *,
        keys: frozenset[str] | None,
        is_wanted: Callable[[], bool],
        formats: Mapping[str, RecordedFormat],
        book: TimestampBook,
        clock: Clock,
    ) -> None:
        """`authorities` are asked in their order. `keys`: those whose signatures carry stamps,
        None stands for all. `is_wanted`: whether any are to be stamped now."""
        self._authorities: Final = authorities
        self._keys: Final = keys
        self._is_wanted: Final = is_wanted
        self._formats: Final = formats
        self._book: Final = book
        self._clock: Final = clock
        self._known: tuple[float, bool] | None = None  # when it was asked, and what it was

    def __call__(
        self, signatures: Sequence[Signature | ServiceError]
    ) -> Sequence[Signature | ServiceError]:
        """Return the signatures with their stamps, in order, or what kept one from having it.

        Errors are handed through.

        Raises:
            StoreUnavailableError
        """
        lacking = {
            one.id: message
            for one in signatures
            if isinstance(one, Signature) and (message := self._stamped(one)) is not None
        }
        if not lacking or not self._is_wanted():
            return signatures
        made, refused = self._made(lacking)
        kept = self._book.keep(made)
        return [
            one
            if isinstance(one, ServiceError) or one.id not in lacking
            else refused.get(one.id) or replace(one, timestamp=kept[one.id])
            for one in signatures
        ]

    def ready_to_leave(self, signatures: Sequence[Signature]) -> Sequence[Signature]:
        """Return the signatures with the stamps that their attachments carry.

        Raises:
            TimestampUnavailableError: they may not leave now.
            StoreUnavailableError
        """
        # Most are stamped already, or not to be: whoever asked for them has just found out.
        if all(one.timestamp is not None for one in signatures) or not self._was_wanted():
            return signatures
        ready = []
        for one in self(signatures):
            if isinstance(one, ServiceError):
                raise one
            ready.append(one)
        return ready

    def _was_wanted(self) -> bool:
        now = self._clock.monotonic()
        known = self._known
        if known is None or now - known[0] > KNOWN_SECONDS:
            known = self._known = now, self._is_wanted()
        return known[1]

    def _stamped(self, signature: Signature) -> bytes | None:
        """Return what the signature's stamp is to be over; None where it needs none."""
        statement = signature.statement
        if signature.timestamp is not None:
            return None
        if self._keys is not None and statement.key not in self._keys:
            return None
        return self._formats[statement.format].stamped(signature.signature, signature.scheme)

    def _made(
        self, lacking: Mapping[str, bytes]
    ) -> tuple[dict[str, Timestamp], dict[str, ServiceError]]:
        deadline = self._clock.monotonic() + WAIT_FOR_TIMESTAMPS_SECONDS
        made: dict[str, Timestamp] = {}
        said: dict[str, list[str]] = {one: [] for one in lacking}
        for authority in self._authorities:
            open_ids = [one for one in lacking if one not in made]
            seconds = deadline - self._clock.monotonic()
            if not open_ids or seconds <= 0:
                break
            stamps = authority.stamp([lacking[one] for one in open_ids], seconds=seconds)
            for one, stamp in zip(open_ids, stamps, strict=True):
                if isinstance(stamp, Timestamp):
                    made[one] = stamp
                else:
                    said[one].append(f"{authority.name}: {stamp}")
            failed = sum(one not in made for one in open_ids)
            if failed:
                log.warning("not stamped", extra={"authority": authority.name, "count": failed})
        refused: dict[str, ServiceError] = {
            one: TimestampUnavailableError("; ".join(why), retry_after=_RETRY_SECONDS)
            for one, why in said.items()
            if one not in made
        }
        return made, refused
