"""Quorum rules: what the file may say, and what is tighter than what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.acts import Act, ActKind
from service.domain.errors import ConfigurationError
from service.domain.quorum import (
    MAX_PEOPLE,
    SELF_GUARDED,
    QuorumRules,
    included,
    rules_from_json,
    rules_to_json,
)
from service.policy.document import parse_policy

GUARDED = [kind for kind in ActKind if kind not in SELF_GUARDED]
RULES = st.builds(
    QuorumRules,
    st.dictionaries(st.sampled_from(GUARDED), st.integers(2, MAX_PEOPLE)),
    st.booleans(),
    st.integers(1, 720),
)


def test_without_the_section_one_person_is_enough_for_everything() -> None:
    rules = parse_policy({"signing": {}}).quorum
    assert not rules.exist
    assert {rules.needed(kind) for kind in ActKind} == {1}


def test_rules_are_named_by_act_or_by_the_state_that_it_leads_to() -> None:
    by_act = {"destroy": 2, "activate": 3, "unsuspend": 3, "certificate-import": 4}
    by_state = {"destroyed": 2, "active": 3, "certificate-import": 4}
    more = {"signed": True, "expires_hours": 4}
    rules = parse_policy({"quorum": {**by_act, **more}}).quorum
    assert rules == parse_policy({"quorum": {**by_state, **more}}).quorum
    assert (rules.needed(ActKind.DESTROY), rules.needed(ActKind.UNSUSPEND)) == (2, 3)
    assert (rules.needed(ActKind.GENERATE), rules.largest) == (1, 4)
    assert (rules.signed, rules.expires_hours) == (True, 4)


@pytest.mark.parametrize(
    ("section", "word"),
    [
        ({"destroy": 1}, "2 to 16"),
        ({"destroy": 17}, "2 to 16"),
        ({"destroy": True}, "2 to 16"),
        ({"destroy": "2"}, "2 to 16"),
        ({"destroy": 2, "destroyed": 2}, "twice"),
        ({"active": 2, "unsuspend": 2}, "twice"),
        ({"suspended": 2}, "one custodian, at once"),
        ({"compromised": 2}, "one custodian, at once"),
        ({"credential": 2}, "largest rule"),
        ({"quorum": 2}, "largest rule"),
        ({"explode": 2}, "unknown act"),
        ({7: 2}, "unknown act"),
        ({"signed": 1}, "true or false"),
        ({"expires_hours": 0}, "1 to 720"),
        ({"expires_hours": 1.5}, "1 to 720"),
        (["destroy"], "mapping"),
        (None, "mapping"),
    ],
)
def test_a_rule_that_cannot_be_is_a_fault(section: object, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word) as caught:
        parse_policy({"quorum": section})
    assert len(caught.value.faults) == 1


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy({"quorum": {"destroy": 1, "x": 2, "signed": "no"}, "signing": {"y": 1}})
    assert len(caught.value.faults) == 4


@pytest.mark.parametrize("kind", [ActKind.GENERATE, ActKind.ADOPT])
def test_what_is_active_at_once_is_activated_as_well(kind: ActKind) -> None:
    assert included(Act(kind, "k", {"state": "active"})) == (kind, ActKind.ACTIVATE)
    assert included(Act(kind, "k")) == (kind, ActKind.ACTIVATE)
    assert included(Act(kind, "k", {"state": "staged"})) == (kind,)
    assert included(Act(ActKind.RETIRE, "k/1", {"state": "active"})) == (ActKind.RETIRE,)


@given(RULES, RULES)
def test_rules_together_are_the_loosest_that_are_as_tight_as_both(
    one: QuorumRules, other: QuorumRules
) -> None:
    both = one.together_with(other)
    assert both.looser_than(one) == both.looser_than(other) == ()
    assert both.expires_hours == other.expires_hours
    for kind in GUARDED:
        assert both.needed(kind) in {one.needed(kind), other.needed(kind)}
    assert both.together_with(one).people == both.people


@given(RULES, RULES)
def test_a_looser_rule_is_named_and_a_tighter_one_is_not(
    one: QuorumRules, other: QuorumRules
) -> None:
    points = one.looser_than(other)
    looser = [kind for kind in GUARDED if one.needed(kind) < other.needed(kind)]
    assert len(points) == len(looser) + (other.signed and not one.signed)
    assert all(any(point.startswith(f"{kind}: ") for point in points) for kind in looser)


@given(RULES)
def test_rules_are_read_back_as_they_were_written(rules: QuorumRules) -> None:
    assert rules_from_json(rules_to_json(rules)) == rules


@pytest.mark.parametrize(
    "damaged",
    [
        {"people": [], "signed": False, "expires_hours": 1},
        {"people": {}, "signed": 0, "expires_hours": 1},
        {"people": {"explode": 2}, "signed": False, "expires_hours": 1},
        {"people": {}, "signed": False},
    ],
)
def test_what_is_no_rule_is_not_read_as_none(damaged: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        rules_from_json(damaged)
