"""What a worker does without: memory that each worker of every machine would have to hold."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping

import pytest

# Alembic and Mako migrate; psycopg is PostgreSQL's, as is its dialect; the others read what few
# requests hold, and are imported by the function that does.
OTHERS = (
    "alembic",
    "mako",
    "psycopg",
    "sigstore",
    "pydantic",
    "cyclonedx",
    "spdx_tools",
    "sqlalchemy.dialects.postgresql",
    "asn1crypto.cms",
)

# Leaves 60 MB free between small blocks that live on, and prints what each answer gives back.
ANSWERS = """
from types import SimpleNamespace
from service.bootstrap.gunicorn_config import post_fork, post_request
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
post_fork(None, None)
blocks = [bytes(1000) for _ in range(60_000)]
kept = blocks[::100]
del blocks
for sent in (1000, 3_000_000):
    before = resident()
    post_request(None, None, {}, SimpleNamespace(sent=sent))
    print(before - resident())
post_request(None, None, {}, None)
"""


def _run(program: str, env: Mapping[str, str] | None = None) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env
    ).stdout


def _imported(statement: str) -> set[str]:
    return set(_run(f"{statement}\nimport sys\nprint(*sys.modules)").split())


def test_a_worker_imports_nothing_that_only_other_work_needs() -> None:
    migrating = _imported("import service.store.migrate, service.store.partial_indexes")
    assert {"alembic", "sqlalchemy.dialects.postgresql"} <= migrating
    imported = _imported("import service.wsgi, service.bootstrap.worker")
    assert "sqlalchemy" in imported
    assert imported.isdisjoint(OTHERS)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have no such call")
def test_after_a_large_answer_free_memory_goes_back_to_the_kernel() -> None:
    names = ("PKCS11_MODULE", "TOKEN_LABEL", "PIN_FILE")  # read by nobody here
    env = {**os.environ, **{f"SEALWRIGHT_{name}": "any" for name in names}}
    small, large = (int(line) for line in _run(ANSWERS, env).split())
    assert small < 1_000_000
    assert large > 30_000_000
