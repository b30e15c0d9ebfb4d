"""What custodians see of slots and tokens; a token's fault is a state here, not an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import hsm
from service.domain.errors import ServiceError
from service.keyring.translate import service_error
from service.ports.hsm import TokenHealth, TokenStatus

READY: Final = "ready"
PIN_REFUSED: Final = "pin-refused"
UNAVAILABLE: Final = "unavailable"
QUARANTINED: Final = "quarantined"
NOT_CONFIGURED: Final = "not-configured"
UNINITIALIZED: Final = "uninitialized"

_STATES: Final[Mapping[type[hsm.HSMError], str]] = MappingProxyType(
    {hsm.PINRefusedError: PIN_REFUSED, hsm.ModuleQuarantinedError: QUARANTINED}
)


def token_statuses(pools: Sequence[hsm.TokenPool]) -> list[TokenStatus]:
    """Tell of every slot of the pools' modules, and of configured tokens in no slot."""
    # Probed first: that logs in where needed, and finds tokens that have come back.
    states = [(pool, *_state(pool)) for pool in pools]
    statuses: list[TokenStatus] = []
    for module in dict.fromkeys(pool.address.module for pool in pools):
        mine = [state for state in states if state[0].address.module == module]
        statuses += _of_module(module, mine)
    return sorted(statuses, key=lambda s: not s.initialized)


def _of_module(
    module: Path, states: Sequence[tuple[hsm.TokenPool, str, str | None]]
) -> list[TokenStatus]:
    try:
        slots = states[0][0].slots()
    except (hsm.HSMError, ServiceError):
        slots = []  # the states of its tokens tell why
    statuses = []
    absent = list(states)
    for slot in slots:
        name: str | None = None
        state, detail = (NOT_CONFIGURED if slot.label else UNINITIALIZED), None
        for known in states:
            address = known[0].address
            if address.label == slot.label and address.serial in (None, slot.serial):
                _, state, detail = known
                name = address.shown
                if known in absent:
                    absent.remove(known)
        statuses.append(
            TokenStatus(
                token=slot.label,
                module=str(module),
                serial=slot.serial,
                initialized=slot.label is not None,
                flags=slot.flags,
                free_bytes=slot.free_bytes,
                state=state,
                detail=detail,
                name=name,
            )
        )
    for pool, state, detail in absent:
        statuses.append(
            TokenStatus(
                token=pool.address.label,
                module=str(module),
                serial=pool.serial or "",
                initialized=False,
                flags=(),
                free_bytes=None,
                state=state,
                detail=detail,
                name=pool.address.shown,
            )
        )
    return statuses


def health(pool: hsm.TokenPool) -> TokenHealth:
    try:
        hsm.probe(pool)
    except hsm.HSMError as error:
        return TokenHealth(
            pool.address.shown, _STATES.get(type(error), UNAVAILABLE), service_error(error)
        )
    except ServiceError as error:
        # The store, which holds the latch: without it no PIN is tried.
        return TokenHealth(pool.address.shown, UNAVAILABLE, error)
    return TokenHealth(pool.address.shown, READY)


def _state(pool: hsm.TokenPool) -> tuple[str, str | None]:
    found = health(pool)
    return found.state, None if found.error is None else str(found.error)
