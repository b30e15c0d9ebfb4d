"""Foreign clients from their cache outside the tree (`scripts/install-clients`)."""

from __future__ import annotations

import os
from pathlib import Path


def clients() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SEALWRIGHT_CLIENTS") or cache / "sealwright" / "clients")


def client(name: str) -> str:
    program = clients() / name
    assert program.exists(), f"no {name} in {clients()}: run scripts/install-clients"
    return str(program)
