"""The policy for attestations, and what it says of one of them (step 2 of the signing cycle)."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.attestations import PredicateType
from service.domain.callers import Caller
from service.domain.references import Repository
from service.policy.decisions import Allow, Decision, Deny, all_of
from service.policy.patterns import any_matches
from service.policy.rules import (
    covers_key,
    covers_payload,
    covers_repository,
    may_make_signatures,
    pinned_enough,
    rule_covers,
)


@dataclass(frozen=True, slots=True)
class AttestingPolicy:
    """What the policy file says of attestations; it is asked for them alone.

    `allow_tags`, `must_exist` and `repositories` mean what they mean in
    `service.policy.signing`. `predicate_types`: None allows every type; otherwise a pattern
    must cover it.
    """

    allow_tags: bool = False
    must_exist: bool = False
    repositories: tuple[str, ...] | None = None
    predicate_types: tuple[str, ...] | None = None


def may_attest(
    policy: AttestingPolicy,
    caller: Caller,
    repository: Repository,
    *,
    key: str,
    pinned: bool,
    predicate_type: PredicateType,
) -> Decision:
    """Decide whether the caller may attest this of an image in this repository with this key."""
    return all_of(
        (
            may_make_signatures(caller, verb="attest"),
            covers_repository(caller, repository),
            rule_covers(policy.repositories, repository, rule="attesting"),
            covers_key(caller, key),
            pinned_enough(pinned=pinned, allow_tags=policy.allow_tags),
            _type(policy, predicate_type),
        )
    )


def may_attest_payload(
    policy: AttestingPolicy,
    caller: Caller,
    repository: Repository | None,
    *,
    key: str,
    predicate_type: PredicateType,
) -> Decision:
    """Decide whether the caller may have a statement signed that a foreign tool made."""
    return all_of(
        (
            may_make_signatures(caller, verb="attest"),
            covers_key(caller, key),
            covers_payload(
                caller,
                repository,
                patterns=policy.repositories,
                must_exist=policy.must_exist,
                rule="attesting",
            ),
            _type(policy, predicate_type),
        )
    )


def _type(policy: AttestingPolicy, kind: PredicateType) -> Decision:
    if policy.predicate_types is None or any_matches(policy.predicate_types, kind.uri):
        return Allow()
    return Deny((f"no attesting rule of the policy covers the predicate type {kind.uri}",))
