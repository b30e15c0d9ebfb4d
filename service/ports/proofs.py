"""What proves when a signature was made: the seam for records, time stamps and the log.

A time that a signature claims for itself proves nothing, nor does anything that whoever holds
the private key could have made later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from service.domain.digests import Digest
from service.domain.keys import KeyVersion
from service.domain.log import Promise


@dataclass(frozen=True, slots=True)
class UnverifiedPromise:
    """A signed entry timestamp as it was found, with the entry that it is for."""

    body: bytes
    index: int
    promise: Promise


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found beside a signature and may prove its time; nothing in it is checked.

    `stamps` are tokens (ContentInfo), which must be over `stamped`. `bodies`: an entry of the
    log is about the signature if it has exactly one of these.
    """

    stamped: bytes = b""
    unverified_stamps: tuple[bytes, ...] = ()
    bodies: frozenset[bytes] = frozenset()
    unverified_promises: tuple[UnverifiedPromise, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature that has been checked: it is by this version, over these bytes."""

    version: KeyVersion
    digest: Digest
    """Of the image that the payload is about."""
    payload: bytes
    signature: bytes
    """As it was found: ECDSA has two encodings, and two values of s, for each."""
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True)
class ProvenTime:
    """The signature existed at `moment`; `by` tells people what proves it."""

    moment: datetime
    by: str


class ProofsOfTime(Protocol):
    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        """Return the earliest moment that is proven; None where nothing proves any.

        Raises:
            StoreUnavailableError: could not check, which is no no.
        """
        ...


@runtime_checkable
class TellsDoubts(Protocol):
    """Optional: proofs that can say why what lies beside a signature proves nothing."""

    def doubts(self, made: VerifiedSignature) -> Sequence[str]: ...
