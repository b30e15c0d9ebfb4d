"""The section `quorum` of the policy file.

Rules are named by act (`generate`, `activate`, `retire`, `unsuspend`, `destroy`, `adopt`,
`certificate-import`). The API's words for the states that acts lead to are taken too:
`destroyed` for destroy, `retired` for retire, `active` for activate and unsuspend.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeGuard

from service.domain.acts import ActKind
from service.domain.quorum import (
    DEFAULT_EXPIRES_HOURS,
    MAX_EXPIRES_HOURS,
    MAX_PEOPLE,
    SELF_GUARDED,
    QuorumRules,
)

STATE_WORDS: Final = MappingProxyType(
    {
        "destroyed": (ActKind.DESTROY,),
        "retired": (ActKind.RETIRE,),
        "active": (ActKind.ACTIVATE, ActKind.UNSUSPEND),
    }
)
_WORDS: Final = MappingProxyType(
    {**{kind.value: (kind,) for kind in ActKind if kind not in SELF_GUARDED}, **STATE_WORDS}
)
_ALONE: Final = frozenset({"suspended", "suspend", "compromised", "compromise"})


def parse_quorum(section: Mapping[object, object], faults: list[str]) -> QuorumRules:
    """Build the rules from the section's content; what is wrong is added to `faults`."""
    people: dict[ActKind, int] = {}
    for name, value in section.items():
        if name in {"signed", "expires_hours"}:
            continue
        kinds = _WORDS.get(str(name))
        if kinds is None:
            faults.append(_unknown(name))
        elif not _is_number(value, 2, MAX_PEOPLE):
            faults.append(
                f"quorum.{name} must be 2 to {MAX_PEOPLE} people; where one is enough, leave it out"
            )
        elif twice := [kind for kind in kinds if kind in people]:
            faults.append(f"quorum names {', '.join(twice)} twice")
        else:
            people.update(dict.fromkeys(kinds, value))
    signed = section.get("signed", False)
    if not isinstance(signed, bool):
        faults.append("quorum.signed must be true or false")
        signed = False
    hours = section.get("expires_hours", DEFAULT_EXPIRES_HOURS)
    if not _is_number(hours, 1, MAX_EXPIRES_HOURS):
        faults.append(f"quorum.expires_hours must be 1 to {MAX_EXPIRES_HOURS}")
        hours = DEFAULT_EXPIRES_HOURS
    return QuorumRules(MappingProxyType(people), signed, hours)


def _unknown(name: object) -> str:
    if name in _ALONE:
        return f"quorum.{name}: stopping a key needs one custodian, at once, and no quorum"
    if name in SELF_GUARDED:
        return f"quorum.{name}: credentials and rules follow the largest rule by themselves"
    return f"quorum has an unknown act {name!r}; it knows {', '.join(_WORDS)}"


def _is_number(value: object, least: int, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
