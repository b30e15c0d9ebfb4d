"""Obligations of the keyring: everything that is asked of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.domain.errors import ServiceError
from service.domain.keys import Algorithm, GeneratedKey, KeyVersion, Scheme


@dataclass(frozen=True, slots=True)
class ToSign:
    """One message, and how to tell that a signature over it is right.

    `check` gets the encoded signature and raises if it does not verify against the pinned
    public key and the item's own content (step 8). It may be called again after a retry,
    from any thread.
    """

    message: bytes
    check: Callable[[bytes], None]


class Signer(Protocol):
    """Signs with private keys that cannot leave their tokens."""

    def sign(
        self, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> Sequence[bytes | ServiceError]:
        """Sign each message (hashed in software as the scheme says), in order.

        Every signature returned has passed its item's `check`. A failure is that item's
        alone, or every item's where the token is away: HSMUnavailableError,
        KeyMissingOnTokenError, PINRefusedError, SignatureCheckFailedError. Safe to call
        from several threads. Never returns a signature by another key than `version`'s.
        """
        ...


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """A slot with its token, as custodians see it. `state`: ready, pin-refused, unavailable…"""

    token: str | None
    module: str
    serial: str
    initialized: bool
    flags: tuple[str, ...]
    free_bytes: int | None
    state: str
    detail: str | None = None


class KeyMaker(Protocol):
    def generate(self, name: str, algorithm: Algorithm, token: str | None) -> GeneratedKey:
        """Make a key pair on the token (None: the only one), never extractable, and pin it.

        Raises:
            TokenNotFoundError, UnsupportedAlgorithmError, HSMUnavailableError, PINRefusedError.
        """
        ...


class Tokens(Protocol):
    def status(self) -> Sequence[TokenStatus]:
        """Tell of every slot of every configured module; never raises for a token's fault."""
        ...

    def check(self) -> None:
        """Raise HSMUnavailableError or PINRefusedError unless a configured token can sign now."""
        ...

    def login_once(self, token: str) -> TokenStatus:
        """After a latch was cleared: try the PIN exactly once and tell the state.

        Raises:
            TokenNotFoundError: no such token is configured.
        """
        ...
