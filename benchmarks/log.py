"""`python -m benchmarks.log`: appending to the log and proving in it, at 10,000 and 1,000,000 entries.

Held against hashing alone, measured right before and after: an append needs two hashes (its leaf,
and one node, as there are about as many nodes as leaves), a proof as many as the tree is high. The
store is SQLite on this machine's disk; the log's key is in memory, for a token is measured elsewhere.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from service.domain.clock import SystemClock
from service.domain.errors import ServiceError
from service.domain.keys import (
    Algorithm,
    Attributes,
    GeneratedKey,
    Key,
    KeyVersion,
    Location,
    Purpose,
    Scheme,
)
from service.domain.log import LogName
from service.operations.log import ProveEntries, SignHeads
from service.ports.hsm import ToSign
from service.store import Store
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.schema import log_additions

SIZES: Final = (10_000, 1_000_000)
MAX_SECONDS: Final = 170.0
LOG: Final = LogName.SIGNATURES
OWNER: Final = "bench"
CLAIM_SECONDS: Final = 5.0
AT_ONCE: Final = 2048  # as the service integrates
FILL_AT_ONCE: Final = 20_480
ENTRY: Final = 800  # bytes, about those of a hashedrekord


class _KeyInMemory:
    """service.ports.hsm.Signer, for nothing but this measurement."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(
        self, version: KeyVersion, scheme: Scheme, items: Sequence[ToSign]
    ) -> Sequence[bytes | ServiceError]:
        return [self._key.sign(item.message, ec.ECDSA(hashes.SHA256())) for item in items]


@dataclass(frozen=True)
class Figures:
    """What was reached at one size. Ratios are to hashing alone."""

    size: int
    appended_per_second: float
    append_ratio: float
    proven_per_second: float
    proof_ratio: float
    hashes_per_second: float


class Bench:
    def __init__(self, directory: Path, seconds: float) -> None:
        url = f"sqlite:///{directory / 'bench.db'}"
        upgrade(url)
        self._database: Final = Database(url)
        self._store: Final = Store(url)
        self._seconds: Final = seconds
        signer = _KeyInMemory()
        self._sign: Final = SignHeads(self._store.keys, signer)
        generated = GeneratedKey(
            b"bench", signer.public, Location("none", "0"), Attributes(sensitive=False)
        )
        key = Key("log", Purpose.LOG, Algorithm.EC_P256, SystemClock().now())
        self._store.keys.create(key, generated, actor=OWNER)
        self._store.log_writer.begin(LOG, tree_id=1, name="log.bench", key="log")
        self._random: Final = random.Random(6)
        self._made = 0

    def close(self) -> None:
        self._store.close()
        self._database.close()

    def fill(self, size: int, deadline: float) -> int:
        """Bring the log to `size`, unless time runs out; return the size that it has."""
        while self._made < size and (not self._made or time.monotonic() < deadline):
            self._queue(min(FILL_AT_ONCE, size - self._made))
            self._append(publish=False)
        self._append(publish=True)
        return self._made

    def figures(self) -> Figures:
        size = self._made
        before = hashes_per_second(self._seconds / 4)
        appended = self._appended_per_second()
        proven = self._proven_per_second(size)
        hashing = (before + hashes_per_second(self._seconds / 4)) / 2
        return Figures(
            size,
            appended,
            appended / (hashing / 2),
            proven,
            proven / (hashing / max(math.log2(size), 1)),
            hashing,
        )

    def _appended_per_second(self) -> float:
        """Integrate what is queued, a batch at a time, each with a checkpoint of its own."""
        rounds = spent = 0.0
        while spent < self._seconds:
            self._queue(AT_ONCE)  # recorded by others: not what is measured
            began = time.monotonic()
            self._append(publish=True)
            spent += time.monotonic() - began
            rounds += 1
        return rounds * AT_ONCE / spent

    def _proven_per_second(self, size: int) -> float:
        """Prove entries one by one, anywhere in the log, each by a process that has just begun."""
        return _rate(lambda: self._prove(self._random.randrange(size)), self._seconds)

    def _prove(self, number: int) -> None:
        name = f"bench {number}"
        if name not in ProveEntries(self._store.log_reader).additions([name]):
            raise RuntimeError(f"the entry {number} is not in the log")

    def _queue(self, count: int) -> None:
        rows = list(_rows(self._made, count))

        def run(connection: Connection) -> None:
            connection.execute(log_additions.insert(), rows)

        self._database.write(run)
        self._made += count

    def _append(self, *, publish: bool) -> None:
        while True:
            done = self._store.log_writer.integrate(
                LOG, owner=OWNER, seconds=CLAIM_SECONDS, limit=AT_ONCE
            )
            if done is None or not done.is_more:
                break
        if publish and done is not None and done.may_sign:
            self._store.log_writer.publish(self._sign(done.tree), owner=OWNER)


def _rows(start: int, count: int) -> Iterator[dict[str, object]]:
    for number in range(start, start + count):
        entry = f"bench {number}".encode().ljust(ENTRY, b".")
        yield {"kind": "foreign", "identity": f"bench {number}", "entry": entry, "at": 0}


def hashes_per_second(seconds: float) -> float:
    """Return how many nodes one thread hashes, with nothing else to do."""
    node = b"\x01" + bytes(64)

    def thousand() -> None:
        for _ in range(1000):
            sha256(node).digest()

    return 1000 * _rate(thousand, seconds)


def _rate(work: Callable[[], None], seconds: float) -> float:
    done, began = 0, time.monotonic()
    while (spent := time.monotonic() - began) < seconds or not done:
        work()
        done += 1
    return done / spent


def measure(sizes: Sequence[int], *, max_seconds: float, seconds: float) -> list[Figures]:
    deadline = time.monotonic() + max_seconds
    found = []
    with TemporaryDirectory(prefix="sealwright-bench-log-") as directory:
        bench = Bench(Path(directory), seconds)
        try:
            for size in sorted(sizes):
                bench.fill(size, deadline)
                found.append(bench.figures())
        finally:
            bench.close()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.log",
        description="Appending to the log and proving in it, as ratios to hashing alone.",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=MAX_SECONDS,
        help="stop filling then, and measure at the size that was reached (default: %(default)s)",
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="for each figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there too")
    given = parser.parse_args(arguments)
    if min(given.sizes) < 1:
        parser.error("a log has at least one entry")
    found = measure(given.sizes, max_seconds=given.max_seconds, seconds=given.seconds)
    for wanted, one in zip(sorted(given.sizes), found, strict=True):
        short = "" if one.size >= wanted else f" (not {wanted:,}: time ran out)"
        print(
            f"at {one.size:>9,} entries{short}: append {one.appended_per_second:,.0f}/s "
            f"({one.append_ratio:.3f} of hashing alone), proof {one.proven_per_second:,.0f}/s "
            f"({one.proof_ratio:.4f})"
        )
    if given.json is not None:
        figures = [asdict(one) for one in found]
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
