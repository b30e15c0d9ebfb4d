"""Quorum rules: how many people an act of custody needs, and which rules are tighter.

Rules form a lattice: what is in force together with a file is, act by act, the greater number
of people, and signatures if either demands them. So a file that is tighter somewhere takes
effect there, and one that is looser somewhere does not, whatever else it says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from service.domain.acts import Act, ActKind
from service.domain.keys import KeyState

ONE: Final = 1
MAX_PEOPLE: Final = 16  # more never meet; a larger number is a mistake
DEFAULT_EXPIRES_HOURS: Final = 72  # asked for on a Friday, approved on Monday
MAX_EXPIRES_HOURS: Final = 24 * 30

SELF_GUARDED: Final = frozenset({ActKind.CREDENTIAL, ActKind.QUORUM})
"""Acts that no rule is written for: they follow the largest one (`service.operations.quorum`)."""


def included(act: Act) -> tuple[ActKind, ...]:
    """Return the kinds whose rules the act is under.

    What is active from the moment it is made is activated as well: a rule for activation
    alone must not be passed by making another version.
    """
    makes = act.kind in {ActKind.GENERATE, ActKind.ADOPT}
    if makes and act.arguments.get("state", KeyState.ACTIVE.value) != KeyState.STAGED.value:
        return (act.kind, ActKind.ACTIVATE)
    return (act.kind,)


@dataclass(frozen=True, slots=True)
class QuorumRules:
    """`people` holds only what needs more than one. `expires_hours` guards nothing: it tells
    how long a request waits, and follows the file either way.
    """

    people: Mapping[ActKind, int] = field(default_factory=lambda: MappingProxyType({}))
    signed: bool = False
    expires_hours: int = DEFAULT_EXPIRES_HOURS

    def needed(self, kind: ActKind) -> int:
        return self.people.get(kind, ONE)

    @property
    def largest(self) -> int:
        return max(self.people.values(), default=ONE)

    @property
    def exist(self) -> bool:
        return bool(self.people)

    def together_with(self, other: QuorumRules) -> QuorumRules:
        """Return the loosest rules that are as tight as both; `expires_hours` is `other`'s."""
        kinds = {**self.people, **other.people}
        people = {kind: max(self.needed(kind), other.needed(kind)) for kind in kinds}
        return QuorumRules(
            MappingProxyType(people), self.signed or other.signed, other.expires_hours
        )

    def looser_than(self, other: QuorumRules) -> tuple[str, ...]:
        """Return in words each point in which these rules ask for less than `other`."""
        points = [
            f"{kind}: {self.needed(kind)} instead of {number}"
            for kind, number in sorted(other.people.items())
            if self.needed(kind) < number
        ]
        if other.signed and not self.signed:
            points.append("signed: false instead of true")
        return tuple(points)


def rules_to_json(rules: QuorumRules) -> dict[str, object]:
    """Return the rules as a JSON value, the same for the same rules."""
    people = {kind.value: number for kind, number in sorted(rules.people.items())}
    return {"people": people, "signed": rules.signed, "expires_hours": rules.expires_hours}


def rules_from_json(value: Mapping[str, object]) -> QuorumRules:
    """Read back what `rules_to_json` made. Raises KeyError, TypeError or ValueError otherwise."""
    people, signed, hours = value["people"], value["signed"], value["expires_hours"]
    if not (isinstance(people, Mapping) and isinstance(signed, bool) and isinstance(hours, int)):
        raise TypeError("not quorum rules")
    return QuorumRules(
        MappingProxyType({ActKind(kind): int(number) for kind, number in people.items()}),
        signed,
        hours,
    )
