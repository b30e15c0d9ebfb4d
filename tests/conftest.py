"""Fixtures of the whole suite come from tests/support, one module a real part."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

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

# The same commit gets the same answer, on a machine of any speed: a stall is no failure of the
# code under test. `pytest --hypothesis-profile=explore` looks at other examples each time.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process: they share parts that take seconds to start.

    Those of `vendors` share a daemon that a machine has once, so they stay together too.
    """
    for item in items:
        place = item.path.relative_to(_HERE)
        group = "vendors" if place.parts[0] == "vendors" else str(place)
        item.add_marker(pytest.mark.xdist_group(group))
