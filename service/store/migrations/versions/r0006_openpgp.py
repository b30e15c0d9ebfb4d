"""The signatures by which keys certify their own OpenPGP form, made once for each version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0006"
down_revision = "r0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "openpgp_certifications",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_openpgp_certifications_key_version"),
        ),
        sa.PrimaryKeyConstraint("key", "version", name=op.f("pk_openpgp_certifications")),
    )
