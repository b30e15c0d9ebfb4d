"""The section `rate_limits` of the policy file: who may call how often.

`{roles: {builder: LIMIT}, credentials: {NAME: LIMIT}, addresses: LIMIT}`, and a LIMIT is
`{per_minute: int, burst: int}` with as many at once as in a minute where `burst` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeGuard

from service.domain.callers import Caller, Role
from service.domain.rates import MAX_PER_MINUTE, RateLimit

_ADDRESSES: Final = RateLimit(per_minute=300, burst=60)  # a pipeline that signs its images at once


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """Each credential has a bucket of its own, of its role's size unless it is named itself."""

    roles: Mapping[Role, RateLimit] = field(default_factory=lambda: MappingProxyType({}))
    credentials: Mapping[str, RateLimit] = field(default_factory=lambda: MappingProxyType({}))
    addresses: RateLimit = _ADDRESSES
    """For the calls that write and need no credential."""

    def of(self, caller: Caller) -> RateLimit | None:
        return self.credentials.get(caller.name) or self.roles.get(caller.role)


def parse_rates(section: Mapping[object, object], faults: list[str]) -> RatePolicy:
    """Build the limits from the section's content; what is wrong is added to `faults`."""
    faults.extend(
        f"rate_limits has an unknown field {name!r}"
        for name in section
        if name not in {"roles", "credentials", "addresses"}
    )
    roles: dict[Role, RateLimit] = {}
    for name, limit in _limits(section, "roles", faults).items():
        if name in list(Role):
            roles[Role(name)] = limit
        else:
            faults.append(f"rate_limits.roles has an unknown role {name!r}")
    credentials = _limits(section, "credentials", faults)
    addresses = _ADDRESSES
    if "addresses" in section:
        addresses = _limit(section["addresses"], "rate_limits.addresses", faults) or _ADDRESSES
    return RatePolicy(MappingProxyType(roles), MappingProxyType(credentials), addresses)


def _limits(section: Mapping[object, object], name: str, faults: list[str]) -> dict[str, RateLimit]:
    where = f"rate_limits.{name}"
    listed = section.get(name, {})
    if not isinstance(listed, Mapping):
        faults.append(f"{where} must be a mapping of names to limits")
        return {}
    found = {str(who): _limit(value, f"{where}.{who}", faults) for who, value in listed.items()}
    return {who: limit for who, limit in found.items() if limit is not None}


def _limit(value: object, where: str, faults: list[str]) -> RateLimit | None:
    if not isinstance(value, Mapping) or not value.keys() <= {"per_minute", "burst"}:
        faults.append(f"{where} must be a mapping of per_minute and, if need be, burst")
        return None
    per_minute = value.get("per_minute")
    burst = value.get("burst", per_minute)
    if not (_is_count(per_minute) and _is_count(burst)):
        faults.append(f"{where}: per_minute and burst must be 1 to {MAX_PER_MINUTE}")
        return None
    return RateLimit(per_minute, burst)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_PER_MINUTE
