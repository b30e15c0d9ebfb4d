"""Obligations of the store towards what keeps the service going: rounds that never end, switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.domain.outbox import Order
from service.domain.switches import Switch


class Cursors(Protocol):
    """How far such work has come, by its name, for whoever goes on with it."""

    def position(self, name: str) -> int:
        """Return 0 where it has never begun."""
        ...

    def move(self, name: str, position: int) -> None: ...


class SettledOrders(Protocol):
    """What was brought to a registry, and looked after for as long as an order does."""

    def settled(self, *, after: int, limit: int) -> Sequence[Order]:
        """Return orders that are done, of lists at registries, with a higher id than `after`."""
        ...


class Switches(Protocol):
    """Switches of the whole service, by name; off until somebody turns them."""

    def get(self, name: str) -> Switch: ...

    def turn(self, name: str, *, on: bool, reason: str | None, actor: str) -> Switch:
        """Turn it, with an audit event, and return it; nothing happens if it is so already."""
        ...
