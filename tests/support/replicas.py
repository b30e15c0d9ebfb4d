"""Two replicas of one service, and a load that remembers everything it was ever told."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import sqlalchemy
import urllib3

from service.domain.digests import Digest
from tests.support.postgres import PostgresServer
from tests.support.product import Product, descendants, dev_environment, start_dev, stop_dev

SETTLE_SECONDS = 90


@contextmanager
def two_replicas(directory: Path, database_url: str) -> Iterator[tuple[Product, Product]]:
    """Start two whole products on one database, one token and one registry."""
    database = {"SEALWRIGHT_DATABASE_URL": database_url}
    first, one = start_dev(directory / "one", env=database)
    try:
        settings = dev_environment(one)
        second, two = start_dev(
            directory / "two",
            *("--registry", one.registry),
            *("--module", settings["SEALWRIGHT_PKCS11_MODULE"]),
            *("--token", settings["SEALWRIGHT_TOKEN_LABEL"]),
            *("--pin-file", settings["SEALWRIGHT_PIN_FILE"]),
            env={**database, "SOFTHSM2_CONF": settings["SOFTHSM2_CONF"]},
        )
        try:
            # A caller has one credential, whichever replica it reaches: keys belong to it.
            yield one, replace(two, tokens=one.tokens)
        finally:
            assert stop_dev(second) == 0
    finally:
        assert stop_dev(first) == 0


@dataclass
class Load:
    """Callers that sign anew, each with an Idempotency-Key of its own, until they are told 201.

    `_lock` guards what they have seen. `finished` are images whose caller has its answer.
    """

    replicas: Sequence[Product]
    repository: str = field(default_factory=lambda: f"load/{uuid.uuid4().hex[:12]}")
    seen: set[str] = field(default_factory=set)
    unproven: set[str] = field(default_factory=set)
    finished: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _enough: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, *, callers: int) -> Iterator[None]:
        threads = [
            threading.Thread(target=self._call, args=(number,), daemon=True)
            for number in range(callers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._enough.set()
            for thread in threads:
                thread.join(SETTLE_SECONDS)
        assert not any(thread.is_alive() for thread in threads), "a request never ended well"

    def _call(self, number: int) -> None:
        request = 0
        while not self._enough.is_set():
            request += 1
            digest = Digest.of(f"{self.repository} {number} {request}".encode())
            image = f"{self.replicas[0].registry}/{self.repository}@{digest}"
            self._until_done(image, number)

    def _until_done(self, image: str, number: int) -> None:
        key, attempt = uuid.uuid4().hex, number
        while True:
            attempt += 1  # as behind a load balancer: each try may reach another replica
            replica = self.replicas[attempt % len(self.replicas)]
            try:
                answer = replica.sign(image, attach=False, force=True, idempotency_key=key)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.2)
                continue
            if answer.status == 201:
                made = answer.body["results"][0]["signatures"]
                with self._lock:
                    self.seen |= {one["id"] for one in made}
                    self.unproven |= {one["id"] for one in made if one["log"] is None}
                    self.finished.add(image)
                return
            assert answer.status in (409, 503), answer.body
            time.sleep(0.2)

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests have ended well."""
        wanted = len(self.finished) + more
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(self.finished) < wanted:
            assert time.monotonic() < deadline, f"{len(self.finished)} of {wanted}"
            time.sleep(0.05)


def kill_a_worker(product: Product) -> None:
    """SIGKILL one of gunicorn's workers: a process of the product that has no children."""
    workers = [pid for pid in descendants(product.pid) if _is_worker(pid)]
    assert workers
    os.kill(workers[0], signal.SIGKILL)


def _is_worker(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return b"gunicorn" in command and b"gunicorn" in Path(f"/proc/{parent}/cmdline").read_bytes()


def crash_database(server: PostgresServer, url: str) -> None:
    """SIGKILL a backend: the server cuts every connection off, and recovers from its log."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        pid = connection.execute(
            sqlalchemy.text(
                "SELECT pid FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1"
            )
        ).scalar_one()
    engine.dispose()
    os.kill(pid, signal.SIGKILL)


def assert_nothing_is_lost(load: Load, url: str) -> None:
    """0 lost, 0 unlogged, 0 duplicated, and every signature that a client saw is in the log."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(
            sqlalchemy.text(
                "SELECT s.id, s.digest, s.format, count(DISTINCT l.seq), count(DISTINCT v.position)"
                " FROM signatures s LEFT JOIN log_entries l ON l.signature_id = s.id"
                " LEFT JOIN log_leaves v ON v.source = 'signature' AND v.number = l.seq"
                " WHERE s.repository LIKE :repository GROUP BY s.id, s.digest, s.format"
            ),
            {"repository": f"%/{load.repository}"},
        ).all()
    engine.dispose()
    recorded = {row[0] for row in rows}
    assert load.seen <= recorded, "lost"
    assert not load.unproven, "unlogged"
    assert [row for row in rows if (row[3], row[4]) != (1, 1)] == [], "unlogged"
    # Each image was asked for once, despite `force`: one signature of each format.
    assert len({(row[1], row[2]) for row in rows}) == len(rows), "duplicated"
    assert len(load.seen) == 2 * len(load.finished)
    assert recorded == load.seen
