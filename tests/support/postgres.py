"""A real PostgreSQL from the distribution's package, on a private socket and no port.

`postgres_url` is a fresh, empty database. `store_url` is a fresh, migrated one on SQLite and
on PostgreSQL in turn; `store` is a Store over it.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from service.store import Store
from service.store.migrate import upgrade

START_SECONDS = 120.0


@dataclass(frozen=True)
class PostgresServer:
    socket_directory: Path
    pid: int
    log: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.socket_directory}"

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        conninfo = f"host={self.socket_directory} user=postgres dbname=postgres"
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement.encode())

    def create_database(self, template: str = "template1") -> str:
        name = f"test{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name


def _binaries() -> Path:
    """Debian keeps the server out of PATH, one directory for each major version."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3])
    )
    if found:
        return found[-1].parent
    elsewhere = shutil.which("postgres")
    if elsewhere is None:
        pytest.fail("PostgreSQL is missing: apt-get install postgresql")
    return Path(elsewhere).parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    binaries = _binaries()
    # Not pytest's tmp_path: a socket's path has to stay under about 100 characters.
    base = Path(tempfile.mkdtemp(prefix="pg"))
    user: str | None = None
    if os.geteuid() == 0:  # the server refuses to run as root
        user = "postgres"
        account = pwd.getpwnam(user)
        os.chown(base, account.pw_uid, account.pw_gid)
    log = base / "log"
    data = base / "data"
    with log.open("wb") as output:
        subprocess.run(
            [
                str(binaries / "initdb"),
                f"--pgdata={data}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            check=True,
            cwd=base,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdout=output,
            stderr=output,
        )
        server = subprocess.Popen(
            [
                str(binaries / "postgres"),
                *("-D", str(data), "-k", str(base), "-h", ""),
                # The tests prove what happens when clients die, not when the power fails.
                *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200"),
                *("-c", "deadlock_timeout=100ms"),
            ],
            cwd=base,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdout=output,
            stderr=output,
        )
    try:
        running = PostgresServer(base, server.pid, log)
        _await(running, server)
        yield running
    finally:
        server.send_signal(signal.SIGINT)  # "fast": open connections are cut off
        server.wait(timeout=START_SECONDS)
        shutil.rmtree(base)


def _await(running: PostgresServer, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            running.execute("SELECT 1")
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL does not start: {running.log.read_text()}")
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """A migrated database to copy from: copying is much faster than migrating."""
    name = postgres_server.create_database()
    upgrade(postgres_server.url(name))
    return name


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "store.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_store_url(migrated_file: Path, tmp_path: Path) -> str:
    path = tmp_path / "store.db"
    shutil.copyfile(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_store_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    name = postgres_server.create_database(migrated_template)
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_store_url" if request.param == "sqlite" else "postgres_store_url"
    url = request.getfixturevalue(name)
    assert isinstance(url, str)
    return url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()
