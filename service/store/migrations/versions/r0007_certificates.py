"""Certificate chains of key versions, those that were replaced included."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None

KEPT: Final = (
    "seq",
    "key",
    "version",
    "origin",
    "subject",
    "certificates",
    "not_before",
    "not_after",
    "recorded_at",
)
"""Columns that never change: all but `in_force`."""

_SEQUENCE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "certificate_chains",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("certificates", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "origin IN ('imported', 'own-ca', 'self-signed')",
            name=op.f("ck_certificate_chains_origin"),
        ),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_certificate_chains_key_version"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_certificate_chains")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ux_certificate_chains_in_force",
        "certificate_chains",
        ["key", "version"],
        unique=True,
        sqlite_where=sa.text("in_force IS 1"),
        postgresql_where=sa.text("in_force IS true"),
    )
    kept = ", ".join(f'"{name}"' for name in KEPT)
    _refuse("update", f"UPDATE OF {kept}")
    _refuse("delete", "DELETE")


def _refuse(what: str, event: str) -> None:
    """What was in force stays on record, whoever asks."""
    name = f"certificate_chains_refuses_{what}"
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON certificate_chains "
            "BEGIN SELECT RAISE(ABORT, 'certificate_chains is append-only'); END"
        )
        return
    # refuse_change() is from the first revision.
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {event} ON certificate_chains "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
