"""What a finder of signatures is: one looks in one kind of place at the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.domain.digests import Digest
from service.domain.errors import (
    RegistryDeniedError,
    RegistryNotConfiguredError,
    RegistryUnavailableError,
    ServiceError,
)
from service.domain.references import Repository
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.verification.others import Trusted
from service.verification.stock import Listed

COULD_NOT_ASK = (RegistryUnavailableError, RegistryDeniedError, RegistryNotConfiguredError)


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in one place: signatures, each judged; questions that nobody answered.

    `listed` are the image's referrers, for what stock clients make of them.
    """

    signatures: tuple[SignatureVerdict, ...] = ()
    unanswered: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    listed: tuple[Listed, ...] = ()
    attestations: tuple[SignatureVerdict, ...] = ()


class Finder(Protocol):
    def __call__(self, repository: Repository, subject: Digest, trusted: Trusted) -> Found:
        """Look for signatures of an image, and judge each by those whose signatures count.

        Raises:
            RegistryUnavailableError, RegistryDeniedError, RegistryNotConfiguredError: the
                place itself could not be looked at.
        """
        ...


def unanswered(error: ServiceError) -> Reason:
    """Return why nobody knows; `error` is one of COULD_NOT_ASK."""
    return Reason(ReasonCode(error.code), str(error), error.retry_after)
