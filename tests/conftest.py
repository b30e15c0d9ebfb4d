"""Fixtures of the whole suite come from tests/support, one module a real part."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = [
    "tests.support.edge",
    "tests.support.postgres",
    "tests.support.registry",
    "tests.support.softhsm",
    "tests.support.chaos",
    "tests.support.product",
    "tests.support.services",
]

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process: they share parts that take seconds to start.

    Those of `vendors` share a daemon that a machine has once, so they stay together too.
    """
    for item in items:
        place = item.path.relative_to(_HERE)
        group = "vendors" if place.parts[0] == "vendors" else str(place)
        item.add_marker(pytest.mark.xdist_group(group))
