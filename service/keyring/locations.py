"""Where keys lie at this moment: asked of the tokens, one search for each key and token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import hsm
from service.domain.errors import ServiceError
from service.domain.keys import KeyVersion, Location

PRESENT: Final = "present"
MISSING: Final = "missing"
UNAVAILABLE: Final = "unavailable"


def locate(
    pools: Sequence[hsm.TokenPool], versions: Sequence[KeyVersion]
) -> list[tuple[Location, ...]]:
    """As `service.ports.hsm.KeyLocator.locate`."""
    away: set[hsm.TokenPool] = set()
    return [
        tuple(
            replace(place, state=_state(pools, version.cka_id, place, away))
            for place in version.locations
        )
        for version in versions
    ]


def _state(
    pools: Sequence[hsm.TokenPool], cka_id: bytes, place: Location, away: set[hsm.TokenPool]
) -> str:
    """The best that any way to the token tells. `away` are those which did not answer before."""
    state = UNAVAILABLE
    for pool in pools:
        if pool.address.label != place.token or pool.serial not in (None, place.serial):
            continue
        if pool in away:
            continue
        try:
            if hsm.holds(pool, cka_id):
                return PRESENT
            state = MISSING
        except (hsm.HSMError, ServiceError):
            # The token, or the store, which holds the latch of its PIN.
            away.add(pool)
    return state
