"""The signing policy: every rule denies by itself, and nothing means no."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.callers import Caller, Role
from service.domain.errors import ConfigurationError
from service.domain.references import Repository
from service.policy.custody import CustodyPolicy
from service.policy.decisions import Allow, Deny, all_of
from service.policy.document import parse_policy
from service.policy.patterns import any_matches, matches
from service.policy.roles import Action, may
from service.policy.signing import SigningPolicy, may_claim, may_sign

APP = Repository("registry.example.com", "team/app")
BUILDER = Caller(
    "cred_1", "ci", "Ada", Role.BUILDER, ("registry.example.com/team/*",), ("release",)
)


def test_a_builder_signs_what_its_credential_covers() -> None:
    assert may_sign(SigningPolicy(), BUILDER, APP, key="release", pinned=True) == Allow()


@pytest.mark.parametrize(
    ("caller", "repository", "key", "pinned", "word"),
    [
        pytest.param(replace(BUILDER, role=Role.ADMIN), APP, "release", True, "role", id="role"),
        pytest.param(
            BUILDER,
            Repository("registry.example.com", "other/app"),
            "release",
            True,
            "does not cover the repository",
            id="repository",
        ),
        pytest.param(BUILDER, APP, "other", True, "key", id="key"),
        pytest.param(BUILDER, APP, "release", False, "digest", id="tag"),
        pytest.param(replace(BUILDER, keys=()), APP, "release", True, "key", id="no-keys"),
        pytest.param(
            replace(BUILDER, repositories=()), APP, "release", True, "cover", id="no-repositories"
        ),
    ],
)
def test_each_rule_denies_by_itself(
    caller: Caller, repository: Repository, key: str, pinned: bool, word: str
) -> None:
    decision = may_sign(SigningPolicy(), caller, repository, key=key, pinned=pinned)
    assert isinstance(decision, Deny)
    assert len(decision.reasons) == 1
    assert word in decision.reasons[0]


def test_all_reasons_are_told_and_not_only_the_first() -> None:
    other = Repository("elsewhere.example", "x")
    decision = may_sign(SigningPolicy(), BUILDER, other, key="other", pinned=False)
    assert isinstance(decision, Deny)
    assert len(decision.reasons) == 3


def test_no_rules_at_all_means_no() -> None:
    assert all_of(()) == Deny(("no rule covers this",))


def test_a_policy_that_names_repositories_covers_no_others() -> None:
    policy = SigningPolicy(repositories=("registry.example.com/prod/*",))
    assert isinstance(may_sign(policy, BUILDER, APP, key="release", pinned=True), Deny)
    wide = SigningPolicy(repositories=("registry.example.com/**",))
    assert may_sign(wide, BUILDER, APP, key="release", pinned=True) == Allow()


def test_an_identity_of_another_team_cannot_be_claimed() -> None:
    assert may_claim(BUILDER, "registry.example.com/team/app:1.0", APP) == Allow()
    assert may_claim(BUILDER, "registry.example.com/team/other:1.0", APP) == Allow()
    assert isinstance(may_claim(BUILDER, "registry.example.com/other/app", APP), Deny)


@pytest.mark.parametrize(
    ("pattern", "text", "covered"),
    [
        ("r.example/team/*", "r.example/team/app", True),
        ("r.example/team/*", "r.example/team/app/base", False),
        ("r.example/**", "r.example/team/app/base", True),
        ("r.example/team", "r.example/team/app", False),
        ("r.example/team/*", "rxexample/team/app", False),
        ("*", "r.example/team", False),
        ("**", "r.example/team", True),
        ("r.example/a*c", "r.example/abc", True),
        ("r.example/team/*", "r.example/team/app\nx", True),
    ],
)
def test_patterns_stop_at_a_slash_unless_they_are_doubled(
    pattern: str, text: str, covered: bool
) -> None:
    assert matches(pattern, text.splitlines()[0]) is covered


@given(st.text(alphabet="ab/.-:", max_size=30))
def test_a_pattern_without_stars_matches_only_itself(text: str) -> None:
    assert matches(text, text)
    assert not matches(text, text + "a")
    assert not any_matches((), text)


def test_the_strict_policy_is_the_default() -> None:
    assert parse_policy(None).signing == SigningPolicy(allow_tags=False, must_exist=False)


def test_a_policy_file_is_read_whole() -> None:
    document = {"signing": {"allow_tags": True, "must_exist": True, "repositories": ["a/**"]}}
    assert parse_policy(document).signing == SigningPolicy(True, True, ("a/**",))


def test_keys_that_can_leave_are_adopted_only_where_the_file_says_so() -> None:
    assert parse_policy({}).custody == CustodyPolicy(allow_extractable=False)
    assert parse_policy({"custody": {"allow_extractable": True}}).custody.allow_extractable
    for section in ({"allow_extractable": 1}, {"extractable": True}, []):
        with pytest.raises(ConfigurationError, match="custody"):
            parse_policy({"custody": section})


def test_every_fault_of_a_policy_file_is_told_at_once() -> None:
    document = {"signing": {"allow_tags": "yes", "allow_tag": True, "repositories": "x"}, "y": 1}
    with pytest.raises(ConfigurationError) as caught:
        parse_policy(document)
    assert len(caught.value.faults) == 4


def test_an_action_is_allowed_to_the_roles_of_the_table_only() -> None:
    custodian = replace(BUILDER, role=Role.CUSTODIAN)
    assert may(custodian, Action.CREATE_KEY) == Allow()
    assert isinstance(may(BUILDER, Action.CREATE_KEY), Deny)
    for role in Role:
        may_manage = may(replace(BUILDER, role=role), Action.MANAGE_CREDENTIALS)
        assert (may_manage == Allow()) is (role is Role.ADMIN)
