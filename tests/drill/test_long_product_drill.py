"""The drill of the whole product in its long form, for `make drill`: blow after blow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.drilling import cut, freeze, remote_product, vanish
from tests.support.product import Product
from tests.support.vendors import KitServer


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Product, KitServer]]:
    with remote_product(tmp_path_factory.mktemp("drill")) as started:
        yield started


def test_connections_that_break_again_and_again_are_not_seen_by_callers(
    remote: tuple[Product, KitServer],
) -> None:
    cut(*remote, times=10)


def test_an_hsm_that_vanishes_again_and_again_is_used_again_each_time(
    remote: tuple[Product, KitServer],
) -> None:
    vanish(*remote, times=5)


@pytest.mark.parametrize("connections", [False, True])
def test_an_hsm_that_freezes_again_and_again_costs_a_worker_each_time_and_no_more(
    remote: tuple[Product, KitServer], connections: bool
) -> None:
    freeze(*remote, connections=connections)
