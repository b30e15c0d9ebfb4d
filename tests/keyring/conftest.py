"""A keyring on a real token, over the store's ports in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.keyring import Keyring
from tests.support.keyrings import Keyrings
from tests.support.softhsm import SoftHSM, TokenFixture


@pytest.fixture
def keyrings() -> Iterator[Keyrings]:
    made = Keyrings()
    with made.closing:
        yield made


@pytest.fixture(scope="session")
def token(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("keyring")


@pytest.fixture(scope="session")
def other_token(softhsm: SoftHSM) -> TokenFixture:
    return softhsm.token("keyring other")


@pytest.fixture
def keyring(keyrings: Keyrings, token: TokenFixture) -> Keyring:
    return keyrings([token.config])
