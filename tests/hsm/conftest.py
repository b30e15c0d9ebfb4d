"""A pool on a real token; keys of the test's own where it alters them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import hsm
from tests.support.pools import ECKey, new_pool
from tests.support.softhsm import SoftHSM, TokenFixture


@pytest.fixture(scope="session")
def token(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("hsm")


@pytest.fixture
def make_pool(token: TokenFixture) -> Callable[[], hsm.TokenPool]:
    return lambda: new_pool(token)


@pytest.fixture
def pool(token: TokenFixture) -> hsm.TokenPool:
    return new_pool(token)


@pytest.fixture(scope="session")
def key(token: TokenFixture) -> ECKey:
    """A key that nobody alters."""
    return ECKey(hsm.generate(new_pool(token), hsm.Algorithm.EC_P256, label="shared"))


@pytest.fixture
def new_key(pool: hsm.TokenPool) -> Callable[[], ECKey]:
    return lambda: ECKey(hsm.generate(pool, hsm.Algorithm.EC_P256, label="own"))
