"""Builds registry clients for tests: a registries file in a directory, and a client on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.domain.clock import Clock, SystemClock
from service.registry import OCIClient, RegistryBook


class TurnedClock:
    """A clock that stands still until somebody turns it."""

    def __init__(self) -> None:
        self._passed = 0.0

    def turn(self, seconds: float) -> None:
        self._passed += seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed


def entry(host: str, **fields: object) -> dict[str, object]:
    """Return an entry of the registries file, plain HTTP unless `http` says otherwise."""
    return {"host": host, "http": True, **fields}


def registries_file(directory: Path, *entries: object) -> Path:
    path = directory / "registries.yaml"
    path.write_text(json.dumps({"registries": entries}))  # JSON is YAML
    return path


def client_for(directory: Path, *entries: object, clock: Clock | None = None) -> OCIClient:
    book = RegistryBook(registries_file(directory, *entries))
    return OCIClient(book, clock or SystemClock())
