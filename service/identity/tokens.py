"""Bearer-token authentication (RFC 6750, section 2.1) against the stored hashes.

Whoever fails is told the same, whatever the reason: nobody learns whether a token is
unknown, expired or revoked.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from service.domain.callers import Caller, Credential
from service.domain.clock import Clock
from service.domain.errors import UnauthenticatedError
from service.domain.tokens import hash_token, is_well_formed
from service.ports.identity import Presented
from service.ports.store import CredentialBook

CACHE_SECONDS: Final = 2.0  # how much later than the store a process may learn of a revocation
CACHE_ENTRIES: Final = 1024  # more live credentials than that simply miss; memory stays bounded


@dataclass(frozen=True, slots=True)
class _Remembered:
    credential: Credential
    until: float


class TokenAuthenticator:
    """Looks tokens up by their hash, and remembers a positive answer for two seconds.

    Invariants:
    - Only credentials that the store returned are remembered, never a refusal: a credential
      works the moment it is made. A revoked one may work in a process that has just seen it
      for CACHE_SECONDS more; an expired one stops at once, since expiry is checked each time.
    - `_seen` is guarded by `_lock`, which is never held while the store is asked.
    """

    def __init__(self, book: CredentialBook, clock: Clock) -> None:
        self._book = book
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _Remembered] = {}

    def authenticate(self, presented: Presented) -> Caller:
        token = presented.unverified_bearer
        if token is None or not is_well_formed(token):
            raise UnauthenticatedError
        token_hash = hash_token(token)
        credential = self._remembered(token_hash) or self._look_up(token_hash)
        if credential is None or not credential.usable(self._clock.now()):
            raise UnauthenticatedError
        return credential.caller

    def _remembered(self, token_hash: str) -> Credential | None:
        with self._lock:
            entry = self._seen.get(token_hash)
            if entry is None:
                return None
            if self._clock.monotonic() < entry.until:
                return entry.credential
            del self._seen[token_hash]
            return None

    def _look_up(self, token_hash: str) -> Credential | None:
        # The two seconds begin before the store is asked: an answer that was under way while
        # the credential was revoked must not outlive them. The store compares hashes, not
        # tokens, so the timing of the look-up tells nothing about a token.
        until = self._clock.monotonic() + CACHE_SECONDS
        credential = self._book.by_token_hash(token_hash)
        if credential is not None:
            with self._lock:
                if len(self._seen) >= CACHE_ENTRIES:
                    del self._seen[next(iter(self._seen))]
                self._seen[token_hash] = _Remembered(credential, until)
        return credential
