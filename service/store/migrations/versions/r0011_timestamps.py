"""Time stamps over signatures: one for each, kept for good."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0011"
down_revision = "r0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "timestamps",
        sa.Column("signature_id", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["signature_id"], ["signatures.id"], name=op.f("fk_timestamps_signature_id")
        ),
        sa.PrimaryKeyConstraint("signature_id", name=op.f("pk_timestamps")),
    )
    for what in ("UPDATE", "DELETE"):
        _refuse(what)


def _refuse(what: str) -> None:
    """Make a trigger that refuses to change or delete rows, whoever asks."""
    name = f"timestamps_refuses_{what.lower()}"
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON timestamps "
            "BEGIN SELECT RAISE(ABORT, 'timestamps is append-only'); END"
        )
        return
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {what} ON timestamps "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    if what == "DELETE":
        # TRUNCATE deletes without asking row triggers.
        op.execute(
            "CREATE TRIGGER timestamps_refuses_truncate BEFORE TRUNCATE ON timestamps "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
