"""Find the chain that a version had at a moment without reading all chains."""

from __future__ import annotations

from alembic import op

revision = "r0009"
down_revision = "r0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_certificate_chains_key_version", "certificate_chains", ["key", "version", "seq"]
    )
