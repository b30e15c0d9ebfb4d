"""Fixtures of the whole suite come from tests/support, one module a real part."""

from __future__ import annotations

pytest_plugins = [
    "tests.support.edge",
    "tests.support.postgres",
    "tests.support.registry",
    "tests.support.softhsm",
    "tests.support.product",
    "tests.support.services",
]
