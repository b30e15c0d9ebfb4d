"""A keyring on a real token, over the store's ports in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hsm import module as modules
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
    return shown(softhsm.token("keyring"))


@pytest.fixture(scope="session")
def other_token(softhsm: SoftHSM) -> TokenFixture:
    return shown(softhsm.token("keyring other"))


def shown(token: TokenFixture) -> TokenFixture:
    """See to it that this process sees the token, whichever tests have loaded the module before.

    SoftHSM shows what another process has made only after it was initialised again, which
    whoever signs does by itself, and whoever only looks does not.
    """
    module = modules.load(token.module)
    module.reinit(module.epoch)
    return token


@pytest.fixture
def keyring(keyrings: Keyrings, token: TokenFixture) -> Keyring:
    return keyrings([token.config])
