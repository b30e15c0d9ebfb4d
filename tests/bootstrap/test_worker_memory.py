"""What a worker does without: every module costs each worker of every machine its memory."""

from __future__ import annotations

import subprocess
import sys

# Alembic and Mako migrate; psycopg is PostgreSQL's; the others read what few requests hold,
# and are imported by the function that does.
OTHERS = ("alembic", "mako", "psycopg", "sigstore", "pydantic", "cyclonedx", "spdx_tools")


def _imported(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_a_worker_imports_nothing_that_only_other_work_needs() -> None:
    assert "alembic" in _imported("import service.store.migrate")
    imported = _imported("import service.wsgi, service.bootstrap.worker")
    assert "sqlalchemy" in imported
    assert imported.isdisjoint(OTHERS)
