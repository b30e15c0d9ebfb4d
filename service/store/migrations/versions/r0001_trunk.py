"""The trunk: keys, credentials, intents, signatures, the log's entries, the outbox, leases."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

_SEQUENCE: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

APPEND_ONLY: Final = ("log_entries", "audit_events")
EVIDENCE: Final = (
    "seq",
    "id",
    "intent_id",
    "statement_hash",
    "format",
    "key",
    "version",
    "repository",
    "digest",
    "identity",
    "annotations",
    "scheme",
    "payload",
    "signature",
    "credential_id",
    "created_at",
)
"""Columns of `signatures` that never change: all but `standing`."""


def upgrade() -> None:
    _keys()
    _credentials()
    _record()
    _deliveries()
    _coordination()
    for table in APPEND_ONLY:
        _refuse(table, "UPDATE")
        _refuse(table, "DELETE")
    _refuse("signatures", "UPDATE", "UPDATE OF " + ", ".join(f'"{name}"' for name in EVIDENCE))
    _refuse("signatures", "DELETE")


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_keys")),
    )
    op.create_table(
        "key_versions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cka_id", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("compromised_since", sa.BigInteger(), nullable=True),
        sa.Column("ever_compromised", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "state IN ('staged', 'active', 'suspended', 'retired', 'compromised', 'destroyed')",
            name=op.f("ck_key_versions_state"),
        ),
        sa.ForeignKeyConstraint(["key"], ["keys.name"], name=op.f("fk_key_versions_key")),
        sa.PrimaryKeyConstraint("key", "version", name=op.f("pk_key_versions")),
        sa.UniqueConstraint("public_key", name=op.f("uq_key_versions_public_key")),
    )
    op.create_table(
        "key_locations",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_key_locations_key_version"),
        ),
        sa.PrimaryKeyConstraint("key", "version", "position", name=op.f("pk_key_locations")),
    )


def _credentials() -> None:
    op.create_table(
        "credentials",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("repositories", sa.Text(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("rights", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("name", name=op.f("uq_credentials_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_credentials_token_hash")),
    )
    op.create_table(
        "pin_latches",
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("latched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", "fingerprint", name=op.f("pk_pin_latches")),
    )


def _record() -> None:
    op.create_table(
        "intents",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("statement_hash", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("annotations", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("payload_sha256", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("attach", sa.Boolean(), nullable=False),
        sa.Column("replaces", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("answered_with", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'done', 'superseded', 'discarded', 'abandoned')",
            name=op.f("ck_intents_state"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_intents")),
        sa.UniqueConstraint("id", name=op.f("uq_intents_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_intents_open",
        "intents",
        ["statement_hash"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_intents_request_id", "intents", ["request_id"])
    op.create_table(
        "signatures",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("intent_id", sa.Text(), nullable=False),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.Column("statement_hash", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("annotations", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["key", "version"],
            ["key_versions.key", "key_versions.version"],
            name=op.f("fk_signatures_key_version"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_signatures")),
        sa.UniqueConstraint("id", name=op.f("uq_signatures_id")),
        sa.UniqueConstraint("intent_id", name=op.f("uq_signatures_intent_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_signatures_created_at", "signatures", ["created_at"])
    op.create_index("ix_signatures_digest", "signatures", ["digest"])
    op.create_index("ix_signatures_repository", "signatures", ["repository"])
    op.create_index(
        "ux_signatures_standing",
        "signatures",
        ["statement_hash"],
        unique=True,
        sqlite_where=sa.text("standing IS 1"),
        postgresql_where=sa.text("standing IS true"),
    )
    op.create_table(
        "log_entries",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("signature_id", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["signature_id"], ["signatures.id"], name=op.f("fk_log_entries_signature_id")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_entries")),
        sa.UniqueConstraint("signature_id", name=op.f("uq_log_entries_signature_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "audit_events",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )


def _deliveries() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("looks", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.Text(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'parked', 'done')", name=op.f("ck_outbox_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint(
            "digest", "repository", "kind", name=op.f("uq_outbox_digest_repository_kind")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["due_at"],
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "attachments",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("signature_id", sa.Text(), nullable=False),
        sa.Column("order_id", _SEQUENCE, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("manifest_digest", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_detail", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'attached', 'failed')", name=op.f("ck_attachments_state")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["outbox.id"], name=op.f("fk_attachments_order_id")),
        sa.ForeignKeyConstraint(
            ["signature_id"], ["signatures.id"], name=op.f("fk_attachments_signature_id")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_attachments")),
        sa.UniqueConstraint("id", name=op.f("uq_attachments_id")),
        sa.UniqueConstraint("signature_id", name=op.f("uq_attachments_signature_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attachments_order_id", "attachments", ["order_id"])


def _coordination() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "idempotency",
        sa.Column("seq", _SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.Column("results", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_idempotency")),
        sa.UniqueConstraint("credential_id", "key", name=op.f("uq_idempotency_credential_id_key")),
        sa.UniqueConstraint("id", name=op.f("uq_idempotency_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])


def _refuse(table: str, what: str, event: str | None = None) -> None:
    """Make a trigger that refuses to change or delete rows, whoever asks."""
    name = f"{table}_refuses_{what.lower()}"
    when = event or what
    if op.get_context().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {when} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {when} ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    if what == "DELETE":
        # TRUNCATE deletes without asking row triggers.
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
