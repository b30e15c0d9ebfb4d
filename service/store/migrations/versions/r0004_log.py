"""The transparency logs: a queue that triggers fill, trees, leaves, nodes, checkpoints."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None

_SEQUENCE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

QUEUED: Final = {
    "log_entries": ("signatures", "signature"),
    "log_additions": ("signatures", "addition"),
    "audit_events": ("audit", "audit"),
}
"""Whose rows are leaves: the log, and what its queue calls the table."""
APPEND_ONLY: Final = ("log_additions", "log_leaves", "log_nodes", "log_checkpoints", "log_promises")


def upgrade() -> None:
    _queue()
    _trees()
    _proofs()
    for table, (log, source) in QUEUED.items():
        _queue_by_trigger(table, log, source)
    for table in APPEND_ONLY:
        _refuse(table, "UPDATE")
        _refuse(table, "DELETE")
    _refuse("log_trees", "DELETE")
    _let_trees_only_grow()
    # What was recorded before there was a log are its first leaves.
    for table, (log, source) in QUEUED.items():
        op.execute(
            f"INSERT INTO log_queue (log, source, number) "  # noqa: S608  # names of our own
            f"SELECT '{log}', '{source}', seq FROM {table} ORDER BY seq"
        )


def _queue() -> None:
    op.create_table(
        "log_additions",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('second', 'foreign', 'refilled')", name=op.f("ck_log_additions_kind")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_additions")),
        sa.UniqueConstraint("identity", name=op.f("uq_log_additions_identity")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "log_queue",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_queue")),
        sa.UniqueConstraint("source", "number", name=op.f("uq_log_queue_source_number")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_log_queue_log_seq", "log_queue", ["log", "seq"])


def _trees() -> None:
    op.create_table(
        "log_trees",
        sa.Column("tree_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("signed_size", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.Text(), nullable=True),
        sa.Column("signer_until", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("log IN ('signatures', 'audit')", name=op.f("ck_log_trees_log")),
        sa.ForeignKeyConstraint(["key"], ["keys.name"], name=op.f("fk_log_trees_key")),
        sa.PrimaryKeyConstraint("tree_id", name=op.f("pk_log_trees")),
        sa.UniqueConstraint("name", name=op.f("uq_log_trees_name")),
    )
    op.create_index(
        "ux_log_trees_open",
        "log_trees",
        ["log"],
        unique=True,
        sqlite_where=sa.text("closed_at IS NULL"),
        postgresql_where=sa.text("closed_at IS NULL"),
    )
    op.create_table(
        "log_leaves",
        sa.Column("tree_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tree_id"], ["log_trees.tree_id"], name=op.f("fk_log_leaves_tree_id")
        ),
        sa.PrimaryKeyConstraint("tree_id", "position", name=op.f("pk_log_leaves")),
        sa.UniqueConstraint("source", "number", name=op.f("uq_log_leaves_source_number")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_nodes",
        sa.Column("tree_id", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tree_id"], ["log_trees.tree_id"], name=op.f("fk_log_nodes_tree_id")
        ),
        sa.PrimaryKeyConstraint("tree_id", "level", "position", name=op.f("pk_log_nodes")),
        sqlite_with_rowid=False,
    )


def _proofs() -> None:
    op.create_table(
        "log_checkpoints",
        sa.Column("tree_id", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("rekor_note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_log_checkpoints_key_version"),
        ),
        sa.ForeignKeyConstraint(
            ["tree_id"], ["log_trees.tree_id"], name=op.f("fk_log_checkpoints_tree_id")
        ),
        sa.PrimaryKeyConstraint("tree_id", "size", name=op.f("pk_log_checkpoints")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "log_promises",
        sa.Column("tree_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("integrated_time", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_log_promises_key_version"),
        ),
        sa.ForeignKeyConstraint(
            ["tree_id", "position"],
            ["log_leaves.tree_id", "log_leaves.position"],
            name=op.f("fk_log_promises_tree_id_position"),
        ),
        sa.PrimaryKeyConstraint(
            "tree_id", "position", "key", "version", name=op.f("pk_log_promises")
        ),
        sqlite_with_rowid=False,
    )


def _queue_by_trigger(table: str, log: str, source: str) -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_queues AFTER INSERT ON {table} BEGIN "  # noqa: S608  # as above
            f"INSERT INTO log_queue (log, source, number) "
            f"VALUES ('{log}', '{source}', NEW.seq); "
            "END"
        )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION queue_for_log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO log_queue (log, source, number) "
        "SELECT TG_ARGV[0], TG_ARGV[1], seq FROM added ORDER BY seq; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_queues AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
        f"FOR EACH STATEMENT EXECUTE FUNCTION queue_for_log('{log}', '{source}')"
    )


def _let_trees_only_grow() -> None:
    """Identity never changes, sizes never go back, and what is closed stays as it is."""
    shrinks = (
        "NEW.size < OLD.size OR NEW.signed_size < OLD.signed_size OR NEW.tree_id <> OLD.tree_id "
        "OR NEW.log <> OLD.log OR NEW.name <> OLD.name OR NEW.key <> OLD.key "
        "OR NEW.started_at <> OLD.started_at OR OLD.closed_at IS NOT NULL"
    )
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER log_trees_only_grow BEFORE UPDATE ON log_trees WHEN {shrinks} "
            "BEGIN SELECT RAISE(ABORT, 'log_trees is append-only'); END"
        )
        return
    op.execute(
        "CREATE TRIGGER log_trees_only_grow BEFORE UPDATE ON log_trees FOR EACH ROW "
        f"WHEN ({shrinks}) EXECUTE FUNCTION refuse_change()"
    )


def _refuse(table: str, what: str) -> None:
    """Make a trigger that refuses to change or delete rows, whoever asks."""
    name = f"{table}_refuses_{what.lower()}"
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {what} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
        return
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {what} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    if what == "DELETE":
        # TRUNCATE deletes without asking row triggers.
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
