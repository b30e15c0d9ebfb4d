"""The policy for attestations: asked for by itself, and each of its rules denies by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.attestations import PredicateType
from service.domain.callers import Caller, Role
from service.domain.errors import ConfigurationError
from service.domain.references import Repository
from service.policy.attesting import AttestingPolicy, may_attest
from service.policy.decisions import Allow, Decision, Deny
from service.policy.document import parse_policy

APP = Repository("registry.example.com", "team/app")
BUILDER = Caller("cred_1", "ci", "Ada", Role.BUILDER, ("registry.example.com/team/*",), ("build",))
SLSA = PredicateType.parse("https://slsa.dev/provenance/v1")
SIGNING = {"allow_tags": True, "must_exist": True, "repositories": ["a/**"]}


def decide(
    policy: AttestingPolicy, caller: Caller = BUILDER, *, key: str = "build", pinned: bool = True
) -> Decision:
    return may_attest(policy, caller, APP, key=key, pinned=pinned, predicate_type=SLSA)


def test_a_builder_attests_what_its_credential_covers() -> None:
    assert decide(AttestingPolicy()) == Allow()
    assert decide(AttestingPolicy(allow_tags=True), pinned=False) == Allow()


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (decide(AttestingPolicy(), replace(BUILDER, role=Role.AUDITOR)), "does not attest"),
        (decide(AttestingPolicy(), replace(BUILDER, repositories=())), "the repository"),
        (decide(AttestingPolicy(repositories=("a/**",))), "no attesting rule"),
        (decide(AttestingPolicy(), key="release"), "the key release"),
        (decide(AttestingPolicy(), pinned=False), "name the digest"),
        (decide(AttestingPolicy(predicate_types=("https://spdx.dev/**",))), "predicate type"),
    ],
    ids=["role", "repository", "rule", "key", "tag", "type"],
)
def test_each_rule_denies_by_itself(decision: Decision, words: str) -> None:
    assert isinstance(decision, Deny)
    assert len(decision.reasons) == 1
    assert words in decision.reasons[0]


def test_types_are_covered_by_patterns() -> None:
    assert decide(AttestingPolicy(predicate_types=("https://slsa.dev/**",))) == Allow()
    assert isinstance(decide(AttestingPolicy(predicate_types=())), Deny)


def test_what_the_file_says_of_signing_says_nothing_of_attesting() -> None:
    assert parse_policy({"signing": SIGNING}).attesting == AttestingPolicy()
    policy = parse_policy({"attesting": {**SIGNING, "predicate_types": ["b:**"]}})
    assert policy.attesting == AttestingPolicy(True, True, ("a/**",), ("b:**",))
    assert policy.signing == parse_policy({}).signing


@pytest.mark.parametrize("section", [[], {"predicate_types": "x"}, {"types": []}, {"force": True}])
def test_a_fault_in_the_section_is_told(section: object) -> None:
    with pytest.raises(ConfigurationError, match="attesting"):
        parse_policy({"attesting": section})
