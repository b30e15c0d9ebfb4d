"""Later versions of this very program: the same code with another migration, as a release has it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.store.migrate import MIGRATIONS

MIGRATION = """
from alembic import op

revision = {revision!r}
down_revision = {before!r}
branch_labels = depends_on = None


def upgrade():
    for statement in {statements!r}:
        op.execute(statement)
"""
# Python imports this at its start, in every process that inherits the environment.
START = """
from pathlib import Path
from service.store import health, migrate, schema

for module in (health, migrate, schema):
    for name, value in {{"HEAD": {revision!r}, "OLDEST_PROGRAM": {oldest!r}}}.items():
        if hasattr(module, name):
            setattr(module, name, value)
migrate.MIGRATIONS = Path(__file__).parent / "migrations"
"""


def later_version(
    directory: Path,
    steps: Mapping[str, Sequence[str]],
    *,
    before: str,
    oldest: str,
) -> dict[str, str]:
    """Make a version whose schema goes on from `before` by `steps`: a revision, and its statements.

    Returns the environment in which `sealwright` is that version.
    """
    migrations = directory / "migrations"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    for revision, statements in steps.items():
        text = MIGRATION.format(revision=revision, before=before, statements=list(statements))
        (migrations / "versions" / f"{revision}_later.py").write_text(text)
        before = revision
    (directory / "sitecustomize.py").write_text(START.format(revision=before, oldest=oldest))
    return {"PYTHONPATH": str(directory)}
