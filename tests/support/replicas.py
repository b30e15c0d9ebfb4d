"""Two replicas of one service, and a load that remembers everything it was ever told."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import urllib3

from service.domain.digests import Digest
from tests.support.logged import assert_all_logged
from tests.support.processes import descendants
from tests.support.product import Product, dev_environment, start_dev, stop_dev
from tests.support.waiting import until

SETTLE_SECONDS = 90


@contextmanager
def two_replicas(
    directory: Path, database_url: str, *, registry: str | None = None
) -> Iterator[tuple[Product, Product]]:
    """Start two whole products on one database, one token and one registry."""
    database = {"SEALWRIGHT_DATABASE_URL": database_url}
    elsewhere = () if registry is None else ("--registry", registry)
    first, one = start_dev(directory / "one", *elsewhere, env=database)
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

    `_lock` guards what they have seen: `made` are the signatures that they were given, `finished`
    the images whose caller has its answer, `refused` how often one was to come back later. With `later`, one caller signs by jobs. With `images`,
    which are in the registry, these are signed, and have their signatures attached.
    """

    replicas: Sequence[Product]
    repository: str = field(default_factory=lambda: f"load/{uuid.uuid4().hex[:12]}")
    images: Sequence[Digest] | None = None
    later: bool = False
    made: list[Mapping[str, Any]] = field(default_factory=list)
    finished: set[str] = field(default_factory=set)
    refused: int = 0
    _digests: Iterator[Digest] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        anew = (Digest.of(f"{self.repository} {n}".encode()) for n in itertools.count())
        self._digests = anew if self.images is None else iter(self.images)

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
        while not self._enough.is_set() and self.sign_one(number):
            pass

    def sign_one(self, number: int) -> bool:
        """Sign the next image, if there is one, and ask another replica first for another number."""
        with self._lock:
            digest = next(self._digests, None)
        if digest is not None:
            self._until_done(f"{self.replicas[0].registry}/{self.repository}@{digest}", number)
        return digest is not None

    def _until_done(self, image: str, number: int) -> None:
        body = {"images": [{"reference": image}], "attach": self.images is not None, "force": True}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        wish = {"Prefer": "respond-async"} if self.later and number == 0 else {}
        attempt = number
        while True:
            attempt += 1  # as behind a load balancer: each try may reach another replica
            replica = self.replicas[attempt % len(self.replicas)]
            try:
                answer = replica.call("POST", "/v1/signatures", body, headers={**key, **wish})
            except urllib3.exceptions.HTTPError:
                time.sleep(0.2)
                continue
            if answer.status == 201:
                with self._lock:
                    self.made += answer.body["results"][0]["signatures"]
                    self.finished.add(image)
                return
            assert answer.status in (202, 409, 503), answer.body
            assert answer.status == 202 or int(answer.headers["Retry-After"]) >= 1, answer.body
            if answer.status == 202:
                wish = {}  # the same request gets what the job makes of it
            else:
                with self._lock:
                    self.refused += 1
            time.sleep(0.2)

    def wait_for(self, more: int) -> None:
        """Wait until so many more requests have ended well."""
        wanted = len(self.finished) + more
        self._wait(lambda: len(self.finished) >= wanted)

    def wait_for_refusals(self, more: int) -> None:
        wanted = self.refused + more
        self._wait(lambda: self.refused >= wanted)

    def _wait(self, condition: Callable[[], bool]) -> None:
        until(condition, lambda: (len(self.finished), self.refused))


def kill_a_worker(product: Product) -> None:
    """SIGKILL one of gunicorn's workers: a process of the product that has no children."""
    workers = [pid for pid in descendants(product.pid) if _is_worker(pid)]
    assert workers
    os.kill(workers[0], signal.SIGKILL)


def _is_worker(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return b"gunicorn" in command and b"gunicorn" in Path(f"/proc/{parent}/cmdline").read_bytes()


def crash_database(url: str) -> None:
    """SIGKILL a backend: the server cuts every connection off, and recovers from its log."""
    [(pid,)] = _query(
        url,
        "SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid() LIMIT 1",
    )
    os.kill(pid, signal.SIGKILL)


def assert_nothing_is_lost(load: Load, url: str) -> None:
    """0 lost, 0 unlogged, 0 duplicated, and every signature that a client saw is in the log."""
    rows = _query(
        url,
        "SELECT s.id, s.digest, s.format, count(DISTINCT l.seq), count(DISTINCT v.position)"
        " FROM signatures s LEFT JOIN log_entries l ON l.signature_id = s.id"
        " LEFT JOIN log_leaves v ON v.source = 'signature' AND v.number = l.seq"
        " WHERE s.repository LIKE %s GROUP BY s.id, s.digest, s.format",
        f"%/{load.repository}",
    )
    recorded = {row[0] for row in rows}
    seen = {one["id"] for one in load.made}
    assert seen <= recorded, "lost"
    assert [row for row in rows if (row[3], row[4]) != (1, 1)] == [], "unlogged"
    # Each image was asked for once, despite `force`: one signature of each format.
    assert len({(row[1], row[2]) for row in rows}) == len(rows), "duplicated"
    assert len(seen) == len(load.made) == 2 * len(load.finished)
    assert recorded == seen
    assert_all_logged(load.replicas[0], load.made)


def assert_log_verifies(replica: Product) -> None:
    """Let `sealwright log verify` read the log as an auditor has it, and derive it from the store."""
    key = replica.state / "log.pem"
    key.write_text(replica.public_key("log"))
    command = [str(Path(sys.executable).with_name("sealwright")), "log", "verify"]
    settings = {**dev_environment(replica), "SEALWRIGHT_URL": replica.url}
    for words in (("--key", str(key)), ("--store",)):
        done = subprocess.run(
            [*command, *words],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def _query(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, target_session_attrs="read-write") as connection:
        return connection.execute(statement.encode(), values).fetchall()
