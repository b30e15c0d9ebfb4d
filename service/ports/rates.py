"""Obligations of the store towards limits that hold for all processes together."""

from __future__ import annotations

from typing import Protocol

from service.domain.rates import RateLimit, Taken


class Buckets(Protocol):
    def take(self, name: str, limit: RateLimit, *, most: int) -> Taken:
        """Take up to `most` out of the bucket of this name, which is full at first.

        Raises:
            StoreUnavailableError.
        """
        ...
