"""Whether the service can do its work now, part by part, asked of the parts themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from service.domain.errors import InvalidRequestError, ServiceError
from service.operations.log import SignatureLog
from service.ports.hsm import Tokens
from service.ports.store import StoreHealth

_NEEDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "sign": frozenset({"hsm", "store", "log"}),
        "verify": frozenset({"store"}),
        "gate": frozenset({"store"}),
    }
)


@dataclass(frozen=True, slots=True)
class ReadinessPart:
    """One part, whether it is ready, and whether the work asked about needs it."""

    name: str
    ready: bool
    detail: str | None = None
    needed: bool = True


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

    def check(self, what: str) -> Sequence[ReadinessPart]:
        """Ask each part. Raises InvalidRequestError for unknown work."""
        needs = _NEEDS.get(what)
        if needs is None:
            raise InvalidRequestError(
                f"unknown work {what[:50]!r}", errors={"for": [f"one of {', '.join(_NEEDS)}"]}
            )
        checks: Mapping[str, Callable[[], None]] = {
            "hsm": self.tokens.check,
            "store": self.store.check,
            "log": self.log.check,
        }
        return [_part(name, check, needed=name in needs) for name, check in checks.items()]

    def warnings(self) -> Sequence[ReadinessWarning]:
        """Return every warning; what cannot be asked is a part that is not ready, and told there."""
        found: list[ReadinessWarning] = []
        for each in self.watched:
            with suppress(ServiceError):
                found += each.warnings()
        return found


def _part(name: str, check: Callable[[], None], *, needed: bool) -> ReadinessPart:
    try:
        check()
    except ServiceError as error:
        return ReadinessPart(name, ready=False, detail=str(error), needed=needed)
    return ReadinessPart(name, ready=True, needed=needed)
