"""Modules that are left alone because a call to them did not come back; parked orders found fast."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0010"
down_revision = "r0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quarantines",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("module", sa.Text(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("installation", "module", name=op.f("pk_quarantines")),
    )
    parked = sa.text("state = 'parked'")
    op.create_index(
        "ix_outbox_parked", "outbox", ["id"], sqlite_where=parked, postgresql_where=parked
    )
