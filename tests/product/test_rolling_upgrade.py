"""Two versions of the program and of the schema on one PostgreSQL, under load, forth and back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.store.schema import HEAD
from tests.support.postgres import PostgresServer
from tests.support.product import Product, dev_environment, start_dev, stop_dev
from tests.support.replicas import Load, assert_nothing_is_lost
from tests.support.serving import serving
from tests.support.versions_of_program import later_version

EXPAND = (
    "CREATE TABLE later_things (name TEXT PRIMARY KEY)",
    "ALTER TABLE intents ADD COLUMN later TEXT",
    "ALTER TABLE signatures ADD COLUMN later TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE leases ADD COLUMN later BIGINT",
    "CREATE INDEX ix_later ON audit_index (action, at)",
)
CONTRACT = ("ALTER TABLE intents DROP COLUMN later", "DROP TABLE later_things")
THIS: dict[str, str] = {}


@dataclass
class Fleet:
    """Replicas of the versions that they were told to have, beside the product that began it all."""

    settings: Mapping[str, str]
    product: Product
    directory: Path
    closing: ExitStack
    running: list[tuple[Product, subprocess.Popen[bytes]]] = field(default_factory=list)
    serving: list[Product] = field(default_factory=list)
    """What the load balancer knows: `Load` looks here for each of its calls."""
    started: int = 0

    def start(self, version: Mapping[str, str]) -> tuple[Product, subprocess.Popen[bytes]]:
        self.started += 1
        directory = self.directory / str(self.started)
        directory.mkdir()
        env = {**self.settings, **version, "SEALWRIGHT_ROLES": "sign,verify,manage,worker"}
        return self.closing.enter_context(serving(self.product, directory, env))

    def add(self, version: Mapping[str, str]) -> None:
        made = self.start(version)
        self.running.append(made)
        self.serving.append(made[0])

    def roll(self, number: int, version: Mapping[str, str]) -> None:
        """Put a replica of this version in the place of one, which may finish what it has."""
        made = self.start(version)
        _, old = self.running[number]
        self.running[number], self.serving[number] = made, made[0]
        old.send_signal(signal.SIGTERM)
        assert old.wait(timeout=120) == 0

    def run(self, version: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("sealwright")), *words],
            env={"PATH": os.environ["PATH"], **self.settings, **version},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def status(self, version: Mapping[str, str]) -> dict[str, Any]:
        done = self.run(version, "db", "status", "--json")
        told: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == told["works"]
        return told

    def ready(self) -> list[int]:
        return [
            replica.call("GET", f"/readyz?for={work}", who=None).status
            for replica in self.serving
            for work in ("sign", "verify", "manage", "worker")
        ]


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> str:
    return postgres_server.url(postgres_server.create_database())


@pytest.fixture
def fleet(tmp_path: Path, database_url: str) -> Iterator[Fleet]:
    process, product = start_dev(tmp_path / "dev", env={"SEALWRIGHT_DATABASE_URL": database_url})
    with ExitStack() as closing:
        yield Fleet(dev_environment(product), product, tmp_path, closing)
    assert stop_dev(process) == 0


@pytest.mark.timeout(900)
def test_a_schema_moves_on_and_programs_forth_and_back_under_load(
    fleet: Fleet, database_url: str, tmp_path: Path
) -> None:
    later = later_version(tmp_path / "later", {"r9001": EXPAND}, before=HEAD, oldest=HEAD)
    assert fleet.status(THIS)["program"] == HEAD
    assert fleet.status(later) == {
        "schema": HEAD,
        "oldest_program": None,
        "program": "r9001",
        "works": False,
    }
    for _ in range(2):
        fleet.add(THIS)
    load = Load(fleet.serving)
    with load.running(callers=4):
        load.wait_for(5)
        # The new version does not serve before the schema is there.
        early = fleet.run(later, "serve")
        assert (early.returncode, early.stdout) == (4, "")
        assert f"the database has schema {HEAD}, this program needs r9001" in early.stderr
        # Expand: the schema moves on under replicas that know nothing of it.
        done = fleet.run(later, "db", "upgrade")
        assert done.returncode == 0, done.stderr
        assert fleet.ready() == [200] * 8
        load.wait_for(5)
        # Both versions at once, the later one alone, and back.
        for number, version in ((0, later), (1, later), (0, THIS)):
            fleet.roll(number, version)
            assert fleet.ready() == [200] * 8
            load.wait_for(5)
    assert_nothing_is_lost(load, database_url)
    assert fleet.status(THIS) == {
        "schema": "r9001",
        "oldest_program": HEAD,
        "program": HEAD,
        "works": True,
    }
    # What a deployment runs before its servers leaves the newer schema alone.
    again = fleet.run(THIS, "db", "upgrade")
    assert (again.returncode, "newer schema, r9001" in again.stdout) == (0, True), again.stderr
    # Contract, a version later: what is too old by then says so, and takes itself out.
    steps = {"r9001": EXPAND, "r9002": CONTRACT}
    latest = later_version(tmp_path / "latest", steps, before=HEAD, oldest="r9001")
    assert fleet.run(latest, "db", "upgrade").returncode == 0
    assert fleet.status(later)["works"]
    assert not fleet.status(THIS)["works"]
    old, new = fleet.serving
    unready = old.call("GET", "/readyz?for=verify", who=None)
    assert (unready.status, "Retry-After" in unready.headers) == (503, True)
    [store] = [part for part in unready.body["parts"] if part["name"] == "store"]
    assert store["code"] == "schema-unsupported"
    assert "needs a program of r9001 or newer" in store["detail"]
    assert new.call("GET", "/readyz?for=sign", who=None).status == 200
    for words in (("serve",), ("worker",), ("db", "upgrade")):
        refused = fleet.run(THIS, *words)
        assert refused.returncode == 4, refused.stderr
        assert "needs a program of r9001 or newer" in refused.stderr
