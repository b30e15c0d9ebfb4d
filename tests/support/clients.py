"""Foreign clients from their cache outside the tree (`scripts/install-clients`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def clients() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SEALWRIGHT_CLIENTS") or cache / "sealwright" / "clients")


def client(name: str) -> str:
    program = clients() / name
    assert program.exists(), f"no {name} in {clients()}: run scripts/install-clients"
    return str(program)


@dataclass(frozen=True)
class ReferrersRegistry:
    host: str


@contextmanager
def referrers_registry(kind: str) -> Iterator[ReferrersRegistry]:
    """Run a registry in memory that has the referrers API: `ggcr` or `ociregistry`."""
    process = subprocess.Popen(
        [client("referrers-registry"), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield ReferrersRegistry(f"127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.stdin.close()  # it ends with its standard input
        process.stdout.close()
        process.wait(timeout=60)
