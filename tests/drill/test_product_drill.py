"""The drill of the whole product in its short form: each fault of the network HSM once.

`make drill` strikes more often (`test_long_product_drill.py`).
"""

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


def test_a_connection_that_breaks_under_load_is_not_seen_by_callers(
    remote: tuple[Product, KitServer],
) -> None:
    cut(*remote, times=1)


def test_an_hsm_that_vanishes_under_load_is_used_again_within_a_second_of_its_return(
    remote: tuple[Product, KitServer],
) -> None:
    vanish(*remote, times=1)


def test_an_hsm_that_freezes_under_load_costs_one_worker_five_seconds_and_others_nothing(
    remote: tuple[Product, KitServer],
) -> None:
    freeze(*remote, connections=False)
