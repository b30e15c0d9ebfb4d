"""Tokens of the tests of custody."""

from __future__ import annotations

import pytest

from tests.support.softhsm import SoftHSM, TokenFixture


@pytest.fixture(scope="session")
def first(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("custody")


@pytest.fixture(scope="session")
def second(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("custody second")
