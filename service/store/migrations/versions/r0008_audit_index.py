"""An index of the audit events that are in their log."""

from __future__ import annotations

import json
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0008"
down_revision = "r0007"
branch_labels = None
depends_on = None

AT_ONCE: Final = 1000
_LOGGED: Final = sa.text(
    "SELECT e.seq, e.at, e.body FROM audit_events e "
    "JOIN log_leaves l ON l.source = 'audit' AND l.number = e.seq "
    "WHERE e.seq > :after ORDER BY e.seq LIMIT :most"
)
_INDEX: Final = sa.text(
    "INSERT INTO audit_index (seq, at, action, actor, subject) "
    "VALUES (:seq, :at, :action, :actor, :subject)"
)


def upgrade() -> None:
    op.create_table(
        "audit_index",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_index")),
    )
    op.create_index("ix_audit_index_action_seq", "audit_index", ["action", "seq"])
    op.create_index("ix_audit_index_actor_seq", "audit_index", ["actor", "seq"])
    op.create_index("ix_audit_index_subject_seq", "audit_index", ["subject", "seq"])
    op.create_index("ix_audit_index_at", "audit_index", ["at"])
    _index_what_is_logged()


def _index_what_is_logged() -> None:
    connection = op.get_bind()
    after = 0
    while rows := connection.execute(_LOGGED, {"after": after, "most": AT_ONCE}).all():
        values = []
        for row in rows:
            event = json.loads(row.body)
            names = {name: event[name] for name in ("action", "actor", "subject")}
            values.append({"seq": row.seq, "at": row.at, **names})
        connection.execute(_INDEX, values)
        after = rows[-1].seq
