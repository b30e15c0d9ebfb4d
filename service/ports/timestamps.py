"""Who stamps time: our own authority, and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.domain.errors import ServiceError
from service.domain.signing import Timestamp


class TimestampAuthority(Protocol):
    @property
    def name(self) -> str: ...

    def stamp(
        self, messages: Sequence[bytes], *, seconds: float
    ) -> Sequence[Timestamp | ServiceError]:
        """Return a checked stamp over each message, or why there is none, in their order.

        Must answer within about `seconds`. Never raises for the authority's sake; what it
        could not stamp may be asked of another one.
        """
        ...
