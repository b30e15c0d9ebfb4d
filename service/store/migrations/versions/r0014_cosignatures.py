"""Witnesses' cosignatures on the logs' checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0014"
down_revision = "r0013"
branch_labels = None
depends_on = None

TABLE = "log_cosignatures"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("tree_id", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("witness", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tree_id", "size"],
            ["log_checkpoints.tree_id", "log_checkpoints.size"],
            name=op.f("fk_log_cosignatures_tree_id_size"),
        ),
        sa.PrimaryKeyConstraint("tree_id", "size", "witness", name=op.f("pk_log_cosignatures")),
        sqlite_with_rowid=False,
    )
    for what in ("UPDATE", "DELETE"):
        _refuse(what)


def _refuse(what: str) -> None:
    """Make a trigger that refuses to change or delete rows, whoever asks."""
    name = f"{TABLE}_refuses_{what.lower()}"
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {TABLE} "
            f"BEGIN SELECT RAISE(ABORT, '{TABLE} is append-only'); END"
        )
        return
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {what} ON {TABLE} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    if what == "DELETE":
        # TRUNCATE deletes without asking row triggers.
        op.execute(
            f"CREATE TRIGGER {TABLE}_refuses_truncate BEFORE TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
