"""Several active versions of one key on tokens that do not fail together, on real tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.digests import Digest
from service.domain.errors import (
    HSMUnavailableError,
    KeyMissingOnTokenError,
    KeyNotUsableError,
    ServiceError,
)
from service.domain.keys import KeyState, Scheme
from service.domain.public_keys import public_key
from service.domain.signing import Signature
from service.operations.units import Unit, signatures_of
from tests.support.services import Services, make_key, move, rotate, sign
from tests.support.softhsm import SoftHSM, TokenFixture
from tests.support.statements import MOMENT, a_statement, a_version


def test_each_active_version_signs_and_each_signature_is_its_own(
    services: Services, first: TokenFixture, second: TokenFixture
) -> None:
    service = services(first, second)
    make_key(service, token=first.label)
    made = rotate(service, token=second.label, alongside=True)
    assert made.locations[0].token == second.label
    item = sign(service, "both")
    assert item.error is None
    assert [s.statement.version for s in item.signatures] == [1, 2]
    key = service.operations.keys.get("release")
    for signature, version in zip(item.signatures, key.versions, strict=True):
        public_key(version.public_key).verify(
            signature.scheme, signature.payload, signature.signature
        )
    assert sign(service, "both").signatures == item.signatures


def test_a_token_that_is_away_does_not_fail_what_the_other_has_signed(
    services: Services, first: TokenFixture, second: TokenFixture
) -> None:
    both = services(first, second)
    make_key(both, token=first.label)
    rotate(both, token=second.label, alongside=True)
    for left, version in ((first, 1), (second, 2)):
        item = sign(services(left), f"only {left.label}")
        assert item.error is None
        assert [s.statement.version for s in item.signatures] == [version]
        # Asked again when both are there, the missing one is added to the one that stands.
        complete = sign(both, f"only {left.label}")
        assert [s.statement.version for s in complete.signatures] == [1, 2]
        assert item.signatures[0].id in {s.id for s in complete.signatures}
        again = sign(services(left), f"only {left.label}")
        assert again.signatures == complete.signatures


def test_if_every_token_is_away_the_item_fails_and_may_be_tried_again(
    services: Services, first: TokenFixture, second: TokenFixture, softhsm: SoftHSM
) -> None:
    both = services(first, second)
    make_key(both, token=first.label)
    rotate(both, token=second.label, alongside=True)
    item = sign(services(softhsm.token("custody third")), "nobody")
    assert isinstance(item.error, HSMUnavailableError)
    assert item.error.retryable
    assert sign(both, "nobody").error is None


def test_a_key_that_is_gone_from_its_token_is_not_forgiven(
    services: Services, first: TokenFixture, second: TokenFixture
) -> None:
    service = services(first, second)
    make_key(service, token=first.label)
    lost = rotate(service, token=second.label, alongside=True)
    assert sign(service, "before").error is None
    service.keyring.destroy(lost)
    item = sign(service, "after")
    assert isinstance(item.error, KeyMissingOnTokenError)
    [key] = service.operations.keys.located([service.operations.keys.get("release")])
    assert [[p.state for p in v.locations] for v in key.versions] == [["present"], ["missing"]]


def test_a_suspended_version_signs_no_more_and_the_other_goes_on(
    services: Services, first: TokenFixture, second: TokenFixture
) -> None:
    service = services(first, second)
    make_key(service, token=first.label)
    rotate(service, token=second.label, alongside=True)
    move(service, 1, KeyState.SUSPENDED)
    assert [s.statement.version for s in sign(service, "one").signatures] == [2]
    move(service, 2, KeyState.SUSPENDED)
    with pytest.raises(KeyNotUsableError):
        sign(service, "none")


def a_unit(form: str, version: int) -> Unit:
    statement = replace(a_statement(Digest("0" * 64), form=form), version=version)
    return Unit(0, statement, "", a_version(b""), Scheme.ECDSA_P256_SHA256, b"")


def a_signature(unit: Unit) -> Signature:
    return Signature(
        f"sig_{unit.statement.format}",
        unit.statement,
        unit.scheme,
        b"",
        b"",
        b"",
        MOMENT,
        "cred_1",
        b"",
    )


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({("a", 1): "s", ("a", 2): "s"}, 2),
        ({("a", 1): "s", ("a", 2): HSMUnavailableError()}, 1),
        ({("a", 1): HSMUnavailableError(), ("a", 2): "s"}, 1),
        ({("a", 1): HSMUnavailableError(), ("a", 2): HSMUnavailableError()}, None),
        ({("a", 1): "s", ("a", 2): KeyMissingOnTokenError()}, None),
        # A signature in another format is no consolation.
        ({("a", 1): "s", ("b", 1): HSMUnavailableError()}, None),
        (
            {
                ("a", 1): "s",
                ("a", 2): HSMUnavailableError(),
                ("b", 1): HSMUnavailableError(),
                ("b", 2): "s",
            },
            2,
        ),
        ({}, 0),
    ],
)
def test_what_is_forgiven_and_what_is_not(
    results: dict[tuple[str, int], object], expected: int | None
) -> None:
    made: dict[Unit, Signature | ServiceError] = {}
    for key, wanted in results.items():
        unit = a_unit(*key)
        made[unit] = wanted if isinstance(wanted, ServiceError) else a_signature(unit)
    result = signatures_of(list(made), made)
    if expected is None:
        assert isinstance(result, ServiceError)
    else:
        assert isinstance(result, tuple)
        assert len(result) == expected
