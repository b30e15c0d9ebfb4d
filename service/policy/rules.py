"""The rules that the policies for signatures and for attestations are made of."""

from __future__ import annotations

from typing import Final

from service.domain.callers import Caller, Role
from service.domain.references import Repository
from service.policy.decisions import Allow, Decision, Deny
from service.policy.patterns import any_matches

EVERY_KEY: Final = "*"


def may_make_signatures(caller: Caller, *, verb: str) -> Decision:
    if caller.role is Role.BUILDER:
        return Allow()
    return Deny((f"the role {caller.role} does not {verb}",))


def covers_repository(caller: Caller, repository: Repository) -> Decision:
    if any_matches(caller.repositories, str(repository)):
        return Allow()
    return Deny((f"the credential does not cover the repository {repository}",))


def rule_covers(patterns: tuple[str, ...] | None, repository: Repository, *, rule: str) -> Decision:
    """None leaves it to each credential."""
    if patterns is None or any_matches(patterns, str(repository)):
        return Allow()
    return Deny((f"no {rule} rule of the policy covers the repository {repository}",))


def covers_key(caller: Caller, key: str) -> Decision:
    if EVERY_KEY in caller.keys or key in caller.keys:
        return Allow()
    return Deny((f"the credential does not cover the key {key}",))


def pinned_enough(*, pinned: bool, allow_tags: bool) -> Decision:
    if pinned or allow_tags:
        return Allow()
    return Deny(("the policy does not let a tag stand for a digest; name the digest",))
