from __future__ import annotations

import pytest

from service.cli.exits import EXITS, Exit, exit_for, worst
from service.domain.errors import ServiceError, every_error

ALL = list(every_error())


def test_every_error_has_an_exit_code() -> None:
    assert set(ALL) == set(EXITS)


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.code)
def test_what_may_be_retried_ends_in_four_and_no_failure_in_zero(kind: type[ServiceError]) -> None:
    assert EXITS[kind] is not Exit.DONE
    if kind.retryable:
        assert EXITS[kind] is Exit.UNAVAILABLE


def test_the_codes_are_those_of_the_contract() -> None:
    assert [int(code) for code in Exit] == [0, 1, 2, 3, 4, 5]


def test_a_code_of_a_newer_service_is_judged_by_whether_a_retry_may_help() -> None:
    assert exit_for("quota-exceeded", retryable=True) is Exit.UNAVAILABLE
    assert exit_for("quota-exceeded", retryable=False) is Exit.USAGE
    assert exit_for("forbidden", retryable=False) is Exit.NOT_AUTHORISED


def test_what_a_retry_will_not_mend_decides() -> None:
    assert worst(set()) is Exit.DONE
    assert worst({Exit.UNAVAILABLE}) is Exit.UNAVAILABLE
    assert worst({Exit.UNAVAILABLE, Exit.USAGE}) is Exit.USAGE
    assert worst({Exit.UNAVAILABLE, Exit.NOT_AUTHORISED, Exit.USAGE}) is Exit.NOT_AUTHORISED
