"""Obligations of authentication: the seam where OIDC and mTLS will join bearer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from service.domain.callers import Caller


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brought along as proof of who it is; nothing in it is checked yet."""

    unverified_bearer: str | None = None


class Authenticator(Protocol):
    def authenticate(self, presented: Presented) -> Caller:
        """Return the caller.

        Raises:
            UnauthenticatedError: no proof, or one that does not hold. The message never
                tells which.
        """
        ...
