"""The section `rate_limits`: whom it names, and what it refuses."""

from __future__ import annotations

import pytest

from service.domain.callers import Caller, Role
from service.domain.errors import ConfigurationError
from service.domain.rates import RateLimit
from service.policy.document import parse_policy

BUILDER = Caller("cred_1", "ci", "CI", Role.BUILDER)


def test_without_the_section_no_credential_is_limited_and_addresses_are() -> None:
    rates = parse_policy({}).rates
    assert rates.of(BUILDER) is None
    assert rates.addresses == RateLimit(300, 60)


def test_a_credential_that_is_named_has_its_own_limit_and_others_that_of_their_role() -> None:
    section = {
        "roles": {"builder": {"per_minute": 600, "burst": 100}},
        "credentials": {"nightly": {"per_minute": 6000}},
        "addresses": {"per_minute": 10},
    }
    rates = parse_policy({"rate_limits": section}).rates
    assert rates.of(BUILDER) == RateLimit(600, 100)
    nightly = Caller("cred_2", "nightly", "CI", Role.BUILDER)
    assert rates.of(nightly) == RateLimit(6000, 6000)
    assert rates.of(Caller("cred_3", "ada", "Ada", Role.AUDITOR)) is None
    assert rates.addresses == RateLimit(10, 10)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"role": {}}, "unknown field 'role'"),
        ({"roles": []}, "mapping of names"),
        ({"roles": {"root": {"per_minute": 1}}}, "unknown role 'root'"),
        ({"roles": {"builder": 5}}, "rate_limits.roles.builder must be a mapping"),
        ({"roles": {"builder": {"per_hour": 5}}}, "rate_limits.roles.builder must be a mapping"),
        ({"roles": {"builder": {}}}, "1 to 1000000"),
        ({"roles": {"builder": {"per_minute": 0}}}, "1 to 1000000"),
        ({"roles": {"builder": {"per_minute": True}}}, "1 to 1000000"),
        ({"credentials": {"ci": {"per_minute": 1, "burst": 0}}}, "rate_limits.credentials.ci"),
        ({"addresses": {"burst": 1}}, "rate_limits.addresses"),
        ([], "must be a mapping"),
    ],
)
def test_a_wrong_section_is_refused_with_its_place(section: object, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_policy({"rate_limits": section})
    assert words in "\n".join(caught.value.faults)
