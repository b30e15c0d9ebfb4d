"""Approvals with their votes, the quorum rules in force, and SSH keys of credentials."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None

_SEQUENCE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

REQUEST: Final = (
    "seq",
    "id",
    "kind",
    "subject",
    "arguments",
    "document",
    "fingerprint",
    "requester_id",
    "requester",
    "requester_person",
    "requester_role",
    "needed",
    "signed",
    "created_at",
    "expires_at",
)
"""Columns of `approvals` that never change: what was asked."""


def upgrade() -> None:
    op.add_column("credentials", sa.Column("ssh_public_key", sa.Text(), nullable=True))
    op.create_table(
        "approvals",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("requester_id", sa.Text(), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("requester_person", sa.Text(), nullable=False),
        sa.Column("requester_role", sa.Text(), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'executing', 'executed', 'rejected', 'expired', 'failed')",
            name=op.f("ck_approvals_state"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_approvals")),
        sa.UniqueConstraint("id", name=op.f("uq_approvals_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_approvals_state", "approvals", ["state"])
    op.create_index("ix_approvals_subject", "approvals", ["subject"])
    op.create_table(
        "approval_votes",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("approval_id", sa.Text(), nullable=False),
        sa.Column("person_key", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("ssh_public_key", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "decision IN ('approve', 'reject')", name=op.f("ck_approval_votes_decision")
        ),
        sa.ForeignKeyConstraint(
            ["approval_id"], ["approvals.id"], name=op.f("fk_approval_votes_approval_id")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_approval_votes")),
        sa.UniqueConstraint(
            "approval_id",
            "person_key",
            "decision",
            name=op.f("uq_approval_votes_approval_id_person_key_decision"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "quorum_rules",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_quorum_rules")),
    )
    for table in ("approval_votes", "quorum_rules"):
        _refuse(table, "UPDATE")
        _refuse(table, "DELETE")
    _refuse("approvals", "UPDATE", "UPDATE OF " + ", ".join(f'"{name}"' for name in REQUEST))
    _refuse("approvals", "DELETE")


def _refuse(table: str, what: str, event: str | None = None) -> None:
    """Make a trigger that refuses to change or delete rows, as r0001 does."""
    name = f"{table}_refuses_{what.lower()}"
    when = event or what
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {when} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
        return
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {when} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    if what == "DELETE":
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
