"""A PostgreSQL of one's own: made from nothing or copied from another, started, stopped, killed.

The server is the distribution's package. It listens on a private socket, and on a loopback port
where it is given one.
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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.processes import descendants, has_ended

START_SECONDS = 120.0
SETTINGS = {
    # The tests prove what happens when processes die, not when the power fails.
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "deadlock_timeout": "100ms",
    # Not in /dev/shm, where a server that was killed leaves its segments.
    "dynamic_shared_memory_type": "mmap",
    "wal_retrieve_retry_interval": "100ms",
}


def _make_directory() -> Path:
    # Not pytest's tmp_path: a socket's path has to stay under about 100 characters.
    made = Path(tempfile.mkdtemp(prefix="pg"))
    if _USER is not None:
        account = pwd.getpwnam(_USER)
        os.chown(made, account.pw_uid, account.pw_gid)
    return made


_USER = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root


@dataclass
class PostgresServer:
    """One data directory, and the server over it while there is one."""

    port: int | None = None
    socket_directory: Path = field(default_factory=_make_directory)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.socket_directory / "data"

    @property
    def log(self) -> Path:
        return self.socket_directory / "log"

    def url(self, database: str) -> str:
        port = "" if self.port is None else f"&port={self.port}"
        return f"postgresql://postgres@/{database}?host={self.socket_directory}{port}"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside any transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            answer = connection.execute(statement.encode())
            return answer.fetchall() if answer.description else []

    def execute(self, statement: str) -> None:
        self.query(statement)

    def create_database(self, template: str = "template1") -> str:
        name = f"test{next(self.numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def wait_for(self, condition: str) -> None:
        """Wait until the server answers, and the condition (SQL) holds."""
        deadline = time.monotonic() + START_SECONDS
        while not self._says(condition):
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"PostgreSQL: not {condition}: {self.log.read_text()}")
            time.sleep(0.02)

    def _says(self, condition: str) -> bool:
        try:
            return self.query(f"SELECT {condition}") == [(True,)]
        except psycopg.OperationalError:
            return False

    def make(self) -> None:
        """Make a new cluster of databases."""
        words = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        self._run("initdb", f"--pgdata={self.data}", *words, "--no-sync").wait()

    def follow(self, primary: PostgresServer) -> None:
        """Become a copy of another that runs, and its standby once it is started."""
        shutil.rmtree(self.data, ignore_errors=True)
        words = ("--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        source = ("--dbname", primary.url("postgres"))
        copied = self._run("pg_basebackup", f"--pgdata={self.data}", *source, *words).wait()
        assert copied == 0, self.log.read_text()

    def start(self, **settings: str) -> None:
        where = ("-h", "") if self.port is None else ("-h", "127.0.0.1", "-p", str(self.port))
        changed = [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items()]
        words = ("-D", str(self.data), "-k", str(self.socket_directory), *where, *changed)
        self._process = self._run("postgres", *words)
        self.wait_for("true")

    def stop(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(timeout=START_SECONDS)
        self._process = None

    def kill(self) -> None:
        """End all of its processes at once and without a word, as when its machine is lost."""
        assert self._process is not None
        # The seventh line names a segment of shared memory that outlives them.
        segment = (self.data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        children = descendants(self._process.pid)
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.wait()
        self._process = None
        while not all(has_ended(child) for child in children):
            time.sleep(0.01)
        subprocess.run(["ipcrm", "--shmem-id", segment], check=True)

    def close(self) -> None:
        if self._process is not None:
            self.stop(signal.SIGINT)
        shutil.rmtree(self.socket_directory)

    def _run(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [str(binaries() / program), *words],
                cwd=self.socket_directory,
                user=_USER,
                group=_USER,
                extra_groups=None if _USER is None else [],
                stdout=output,
                stderr=output,
            )


def binaries() -> Path:
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
