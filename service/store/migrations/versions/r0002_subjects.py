"""Orders know the media type and size of their subject: a referrer's manifest names them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("subject_media_type", sa.Text(), nullable=True))
    op.add_column("outbox", sa.Column("subject_size", sa.BigInteger(), nullable=True))
