"""Whether a token that was put down somewhere holds keys: asked with its PIN, or without.

With the PIN each key signs something new, which is checked with the public key on record.
Without it a token shows public halves only, which nobody has made without the private ones.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

import hsm
from service.domain.keys import Algorithm
from service.domain.public_keys import PublicKey
from service.keyring.gate import LoneGate
from service.keyring.keyring import TokenConfig, address_of
from service.keyring.translate import SCHEMES, SCHEMES_OF

_CHALLENGE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class WantedKey:
    """A key version (`release/3`) as the record has it."""

    subject: str
    algorithm: Algorithm
    cka_id: bytes
    public_key: bytes


class Presence(StrEnum):
    SIGNS = "signs"
    SHOWN = "shown"
    """Its public half is there; without a PIN no more can be said."""
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Held:
    subject: str
    presence: Presence
    detail: str = ""


def look(token: TokenConfig, keys: Iterable[WantedKey], *, with_pin: bool) -> Iterator[Held]:
    """Look for each key. For a process of its own: the module is loaded, and a PIN tried."""
    if with_pin:
        pool = hsm.TokenPool(address_of(token), LoneGate(), sessions=1)
        for key in keys:
            yield _signed(pool, key)
        return
    try:
        shown = hsm.public_keys(address_of(token))
    except hsm.HSMError as error:
        yield from (Held(key.subject, Presence.UNKNOWN, str(error)) for key in keys)
        return
    for key in keys:
        found = shown.get(key.cka_id)
        if found is None:
            # A key that was adopted may have no public half.
            yield Held(key.subject, Presence.UNKNOWN, "the token shows no public half of it")
        else:
            yield Held(key.subject, Presence.SHOWN if found == key.public_key else Presence.MISSING)


def _signed(pool: hsm.TokenPool, key: WantedKey) -> Held:
    message = secrets.token_bytes(_CHALLENGE_BYTES)
    scheme = min(SCHEMES_OF[key.algorithm])
    check = partial(PublicKey.parse(key.public_key).verify, scheme, message)
    (made,) = hsm.sign(pool, key.cka_id, SCHEMES[scheme], [(message, check)])
    if isinstance(made, bytes):
        return Held(key.subject, Presence.SIGNS)
    if isinstance(made, (hsm.KeyMissingError, hsm.KeyAmbiguousError, hsm.SignatureCheckError)):
        return Held(key.subject, Presence.MISSING, str(made))
    return Held(key.subject, Presence.UNKNOWN, str(made))
