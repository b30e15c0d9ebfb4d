"""The signing policy, and what it says of one request (step 2 of the signing cycle)."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.callers import Caller
from service.domain.keys import Key, Purpose
from service.domain.references import Reference, Repository
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
class SigningPolicy:
    """What the policy file says of signing; the defaults are the strict ones.

    `allow_tags`: a tag without a digest may be resolved by the service. `must_exist`: the
    image must be at its registry even where the signature does not need that.
    `repositories`: None leaves it to each credential; otherwise both must cover it.
    """

    allow_tags: bool = False
    must_exist: bool = False
    repositories: tuple[str, ...] | None = None


def may_sign(
    policy: SigningPolicy, caller: Caller, repository: Repository, *, key: str, pinned: bool
) -> Decision:
    """Decide whether the caller may sign this repository with this key."""
    return all_of(
        (
            may_make_signatures(caller, verb="sign"),
            covers_repository(caller, repository),
            rule_covers(policy.repositories, repository, rule="signing"),
            covers_key(caller, key),
            pinned_enough(pinned=pinned, allow_tags=policy.allow_tags),
        )
    )


def may_sign_payloads(caller: Caller, *, key: str) -> Decision:
    """Decide whether the caller may have any payload of a foreign tool signed with this key."""
    return all_of((may_make_signatures(caller, verb="sign"), covers_key(caller, key)))


def may_sign_payload(
    policy: SigningPolicy, caller: Caller, repository: Repository | None, *, key: str
) -> Decision:
    """Decide whether the caller may have a signature's payload signed that a foreign tool made."""
    return all_of(
        (
            may_sign_payloads(caller, key=key),
            covers_payload(
                caller,
                repository,
                patterns=policy.repositories,
                must_exist=policy.must_exist,
                rule="signing",
            ),
        )
    )


def may_sign_at_all(caller: Caller) -> Decision:
    """Decide whether the caller signs anything, whatever the request may hold."""
    return may_make_signatures(caller, verb="sign")


def usable_keys(caller: Caller, keys: tuple[Key, ...], purpose: Purpose) -> tuple[Key, ...]:
    """Return the keys of this purpose that the caller's credential names."""
    return tuple(
        key
        for key in keys
        if key.purpose is purpose and isinstance(covers_key(caller, key.name), Allow)
    )


def may_claim(caller: Caller, identity: str, repository: Repository) -> Decision:
    """Decide whether a signature on `repository` may claim this name.

    A name is a reference or repository; it must be the image's own repository or one that
    the caller may sign as well, or a build of one team could pass as another team's image.
    """
    named = Reference.parse(identity).repository
    if named == repository or any_matches(caller.repositories, str(named)):
        return Allow()
    return Deny((f"the credential does not cover the claimed identity {named}",))
