"""Whether the service can do its work now, part by part, asked of the parts themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, Protocol

from service.domain.errors import (
    HSMUnavailableError,
    InvalidRequestError,
    NotServedHereError,
    ServiceError,
)
from service.domain.serving import EVERY_ROLE, ServerRole
from service.operations.log import SignatureLog
from service.ports.hsm import TokenHealth, Tokens
from service.ports.store import StoreHealth

_NEEDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "sign": frozenset({"hsm", "store", "log"}),
        "verify": frozenset({"store"}),
        "gate": frozenset({"store"}),
        # A custodian makes the first keys, and an admin has work, while nothing can be signed.
        "manage": frozenset({"store"}),
        "worker": frozenset({"store"}),
    }
)
_DOES: Final = MappingProxyType({"gate": ServerRole.VERIFY})
"""The role that does the work, where it has not the same name."""


@dataclass(frozen=True, slots=True)
class ReadinessPart:
    """One part, whether it is ready, and whether the work asked about needs it."""

    name: str
    ready: bool
    detail: str | None = None
    needed: bool = True
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Readied:
    """Every part, and every token on its own; only the needed parts decide."""

    parts: Sequence[ReadinessPart]
    tokens: Sequence[TokenHealth]

    @property
    def ready(self) -> bool:
        return all(part.ready for part in self.parts if part.needed)


@dataclass(frozen=True, slots=True)
class ReadinessWarning:
    """What will hinder the work unless somebody sees to it; readiness does not depend on it."""

    code: str
    subject: str
    detail: str


class Warns(Protocol):
    def warnings(self) -> Sequence[ReadinessWarning]: ...


@dataclass(frozen=True, slots=True)
class Readiness:
    tokens: Tokens
    store: StoreHealth
    log: SignatureLog
    watched: Sequence[Warns] = ()
    roles: frozenset[ServerRole] = EVERY_ROLE

    def check(self, what: str) -> Readied:
        """Ask each part. Raises InvalidRequestError for unknown work."""
        needs = _NEEDS.get(what)
        if needs is None:
            raise InvalidRequestError(
                f"unknown work {what[:50]!r}", errors={"for": [f"one of {', '.join(_NEEDS)}"]}
            )
        tokens = self.tokens.health()
        checks: Mapping[str, Callable[[], None]] = {
            "hsm": partial(require_token, tokens),
            "store": self.store.check,
            "log": self.log.check,
        }
        parts = [_part(name, check, needed=name in needs) for name, check in checks.items()]
        role = _DOES.get(what) or ServerRole(what)
        if role not in self.roles:
            detail = f"the role {role} is not among those of this process"
            parts.append(ReadinessPart("role", False, detail, code=NotServedHereError.code))
        return Readied(parts, tokens)

    def warnings(self) -> Sequence[ReadinessWarning]:
        """Return every warning; what cannot be asked is a part that is not ready, and told there."""
        found: list[ReadinessWarning] = []
        for each in self.watched:
            with suppress(ServiceError):
                found += each.warnings()
        return found


def require_token(tokens: Sequence[TokenHealth]) -> None:
    """Raise unless a token can sign now: one that can is enough, and the first tells why not."""
    failures = [token.error for token in tokens if token.error is not None]
    if len(failures) < len(tokens):
        return
    raise failures[0] if failures else HSMUnavailableError("no token is configured")


def _part(name: str, check: Callable[[], None], *, needed: bool) -> ReadinessPart:
    try:
        check()
    except ServiceError as error:
        return ReadinessPart(name, ready=False, detail=str(error), needed=needed, code=error.code)
    return ReadinessPart(name, ready=True, needed=needed)
