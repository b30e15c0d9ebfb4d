"""Obligations of the keyring: everything that is asked of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.domain.errors import ServiceError
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    KeyVersion,
    Location,
    Scheme,
)


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
class TokenHealth:
    """Whether a configured token can sign now: it can where `error` is None.

    `token` is what the settings call it. `state`: ready, pin-refused, quarantined, unavailable.
    """

    token: str
    state: str
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """A slot with its token, as custodians see it. `state`: ready, pin-refused, unavailable…

    `token` is the label; `name` is what the settings call it, None where they do not.
    """

    token: str | None
    module: str
    serial: str
    initialized: bool
    flags: tuple[str, ...]
    free_bytes: int | None
    state: str
    detail: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TokenMechanism:
    """What a token says that it can do; the sizes are in the mechanism's own unit."""

    name: str
    min_key_size: int
    max_key_size: int
    flags: tuple[str, ...]


class KeyMaker(Protocol):
    def generate(self, name: str, algorithm: Algorithm, token: str | None) -> GeneratedKey:
        """Make a key pair on the token (None: the only one), never extractable, and pin it.

        Raises:
            TokenNotFoundError, UnsupportedAlgorithmError, KeyUnprotectedError,
            HSMUnavailableError, PINRefusedError.
        """
        ...

    def adopt(self, uri: str, public_key: bytes | None, *, allow_extractable: bool) -> GeneratedKey:
        """Find the private key that an RFC 7512 URI names, and prove that it is the one.

        The proof is a signature over a fresh challenge that verifies under `public_key` (DER
        SubjectPublicKeyInfo; None: the one that the token tells). A key that is extractable
        or not sensitive, or of which the token does not say, is refused unless allowed.
        Changes nothing on the token.

        Raises:
            InvalidRequestError: `uri` or `public_key` cannot be read.
            TokenNotFoundError: the URI names no configured token, or several.
            KeyNotAdoptableError: there is no such key, or it is not of use.
            KeyMissingOnTokenError: several keys fit.
            KeyUnprotectedError, HSMUnavailableError, PINRefusedError.
        """
        ...

    def attributes(self, version: KeyVersion) -> Attributes:
        """Read again what a token says of the key, at the first location that answers.

        Raises:
            KeyMissingOnTokenError, HSMUnavailableError, PINRefusedError.
        """
        ...

    def destroy(self, version: KeyVersion) -> None:
        """Destroy the key pair at every location, for good.

        Nothing is destroyed unless every location answers. Where the key is missing already,
        nothing is left to do, so this may be repeated until it succeeds. The key is proven to
        be the version's before it is touched.

        Raises:
            HSMUnavailableError, PINRefusedError: a location is away; if it went in between,
                the key is gone elsewhere already.
            KeyMissingOnTokenError: another key, or more than one, has its CKA_ID and stays.
            UnsupportedAlgorithmError: the token refuses.
        """
        ...


class KeyLocator(Protocol):
    def locate(self, versions: Sequence[KeyVersion]) -> Sequence[tuple[Location, ...]]:
        """Return where each version lies, with the state of each location at this moment.

        `present`, `missing` (the token answers and does not hold the key) or `unavailable`;
        never raises for a token's fault, and asks a token that is away only once.
        """
        ...


class Tokens(Protocol):
    def status(self) -> Sequence[TokenStatus]:
        """Tell of every slot of every configured module; never raises for a token's fault."""
        ...

    def mechanisms(self, token: str) -> Sequence[TokenMechanism]:
        """List what the configured token of this name or label says that it can do.

        Raises:
            TokenNotFoundError, HSMUnavailableError.
        """
        ...

    def health(self) -> Sequence[TokenHealth]:
        """Ask each configured token whether it can sign now; never raises."""
        ...

    def label_of(self, token: str) -> str:
        """Return the label of the configured token of this name or label.

        Raises:
            TokenNotFoundError: no such token is configured.
        """
        ...

    def login_once(self, token: str) -> TokenStatus:
        """After a latch was cleared: try each PIN exactly once and tell the state.

        Clones of the token that have the same PIN count as one.

        Raises:
            TokenNotFoundError: no such token is configured.
            PINRefusedError
        """
        ...
