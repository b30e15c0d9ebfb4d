"""The rules that the policies for signatures and for attestations are made of."""

from __future__ import annotations

from typing import Final

from service.domain.callers import SIGN_PAYLOAD, Caller, Role
from service.domain.references import Repository
from service.policy.decisions import Allow, Decision, Deny, all_of
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


def covers_payload(
    caller: Caller,
    repository: Repository | None,
    *,
    patterns: tuple[str, ...] | None,
    must_exist: bool,
    rule: str,
) -> Decision:
    """Decide about what a foreign tool has made, which names this repository or none.

    One that names none may be about an image of any repository. So it takes a right of its own,
    and a policy that asks something of the repository, or of the image there, says no.
    """
    if repository is not None:
        return all_of(
            (
                covers_repository(caller, repository),
                rule_covers(patterns, repository, rule=rule),
            )
        )
    answers: list[Decision] = [Allow()]
    if SIGN_PAYLOAD not in caller.rights:
        text = f"the payload names no repository, and the credential has no right {SIGN_PAYLOAD}"
        answers.append(Deny((text,)))
    if patterns is not None or must_exist:
        text = "the payload names no repository, and the policy asks which it is"
        answers.append(Deny((text,)))
    return all_of(answers)


def covers_key(caller: Caller, key: str) -> Decision:
    if EVERY_KEY in caller.keys or key in caller.keys:
        return Allow()
    return Deny((f"the credential does not cover the key {key}",))


def pinned_enough(*, pinned: bool, allow_tags: bool) -> Decision:
    if pinned or allow_tags:
        return Allow()
    return Deny(("the policy does not let a tag stand for a digest; name the digest",))
