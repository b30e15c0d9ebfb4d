"""RAW, VER and COMP: what the machine can make of signatures and of their verification.

RAW-n is the C loop of raw.c with n threads, on the very key that the service signs with. VER-n
is n threads that verify one P-256 signature by the library that the service uses. COMP is
1 / (1 / RAW2 + 1 / VER2): what two cores can make of signatures that are each verified.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

SOURCE: Final = Path(__file__).with_name("raw.c")
MESSAGE: Final = bytes(250)  # about as long as a simple-signing payload
VERIFICATIONS_A_LOOK: Final = 32  # between two looks at the clock
EXTRA_SECONDS: Final = 30  # for a program that should have ended by itself


class BenchmarkError(Exception):
    """Nothing can be said about speed, because something did not work."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Items a second, and what each cost in CPU time of the process that made it."""

    per_second: float
    cpu_microseconds: float


@dataclass(frozen=True, slots=True)
class RawToken:
    """A token and the CKA_ID (hex) of a P-256 key on it. `conf` is SoftHSM's configuration."""

    module: Path
    conf: Path
    label: str
    pin_file: Path
    key_id: str


def compile_raw(directory: Path) -> Path:
    """Compile raw.c into `directory` and return the program.

    Raises:
        BenchmarkError: gcc is missing, or does not like it.
    """
    program = directory / "raw"
    command = ["gcc", "-O2", "-std=c11", "-pthread", "-o", str(program), str(SOURCE), "-ldl"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BenchmarkError("the raw signing loop needs gcc") from error
    if done.returncode != 0:
        raise BenchmarkError(f"gcc: {done.stderr}")
    return program


def raw(program: Path, token: RawToken, *, threads: int, seconds: float) -> Rate:
    """Run the C loop.

    Raises:
        BenchmarkError: the token refused.
    """
    command = [str(program), str(token.module), token.label, str(token.pin_file), token.key_id]
    done = subprocess.run(
        [*command, str(threads), f"{seconds:.3f}"],
        env={"SOFTHSM2_CONF": str(token.conf)},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + EXTRA_SECONDS,
    )
    if done.returncode != 0:
        raise BenchmarkError(done.stderr.strip())
    told = json.loads(done.stdout)
    return _rate(told["items"], told["seconds"], told["cpu_seconds"])


def software_verification(*, threads: int, seconds: float) -> Rate:
    """Verify one signature again and again: the same work as any other."""
    private = ec.generate_private_key(ec.SECP256R1())
    ecdsa = ec.ECDSA(SHA256())
    signature = private.sign(MESSAGE, ecdsa)
    public = private.public_key()

    def loop(end: float) -> int:
        made = 0
        while not made or time.perf_counter() < end:
            for _ in range(VERIFICATIONS_A_LOOK):
                public.verify(signature, MESSAGE, ecdsa)
            made += VERIFICATIONS_A_LOOK
        return made

    with ThreadPoolExecutor(threads) as pool:
        used, began = time.process_time(), time.perf_counter()
        made = sum(pool.map(loop, [began + seconds] * threads))
        took = time.perf_counter() - began
        return _rate(made, took, time.process_time() - used)


def commit_milliseconds(directory: Path, *, seconds: float) -> float:
    """Return what one durable commit of SQLite takes here by itself, as the service commits."""
    with closing(sqlite3.connect(directory / "commits.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE IF NOT EXISTS commits (at REAL)")
        made, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or not made:
            database.execute("INSERT INTO commits VALUES (?)", (took,))
            made += 1
    return took / made * 1e3


def comp(raw2: float, ver2: float) -> float:
    """Return the rate of doing both, one after the other, on the same cores."""
    return 1 / (1 / raw2 + 1 / ver2)


def mean(first: Rate, second: Rate) -> Rate:
    """Return the middle of a ceiling measured before and after."""
    return Rate(
        (first.per_second + second.per_second) / 2,
        (first.cpu_microseconds + second.cpu_microseconds) / 2,
    )


def _rate(items: int, seconds: float, cpu_seconds: float) -> Rate:
    if items == 0:
        raise BenchmarkError("a ceiling made nothing in its time")
    return Rate(items / seconds, cpu_seconds / items * 1e6)
