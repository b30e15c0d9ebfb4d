"""The life cycle: versions of another kind than their key, their places, findings, withdrawals."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None

_SEQUENCE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _versions()
    _findings()
    _withdrawals()


def _versions() -> None:
    # Columns with a default, and the values filled in: SQLite adds no others to a table.
    op.add_column(
        "key_versions", sa.Column("algorithm", sa.Text(), nullable=False, server_default="")
    )
    op.execute(
        "UPDATE key_versions SET algorithm = "
        "(SELECT keys.algorithm FROM keys WHERE keys.name = key_versions.key)"
    )
    op.add_column(
        "key_versions",
        sa.Column("alongside", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("key_versions", sa.Column("compromise_reason", sa.Text(), nullable=True))
    op.add_column(
        "key_locations",
        sa.Column("cka_id", sa.LargeBinary(), nullable=False, server_default=sa.text("''")),
    )
    op.execute(
        "UPDATE key_locations SET cka_id = (SELECT key_versions.cka_id FROM key_versions "
        "WHERE key_versions.key = key_locations.key "
        "AND key_versions.version = key_locations.version)"
    )
    op.create_index(
        "ux_key_locations_place", "key_locations", ["token", "serial", "cka_id"], unique=True
    )


def _findings() -> None:
    op.create_table(
        "findings",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "severity IN ('critical', 'high', 'medium', 'low')",
            name=op.f("ck_findings_severity"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_findings")),
        sa.UniqueConstraint("id", name=op.f("uq_findings_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ux_findings_open",
        "findings",
        ["code", "subject"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def _withdrawals() -> None:
    op.create_table(
        "withdrawal_lists",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_withdrawal_lists_key_version"),
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_withdrawal_lists")),
    )
