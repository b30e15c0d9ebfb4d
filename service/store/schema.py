"""The tables. Times are milliseconds since the epoch; the migrations are compared with this.

Indexes over some of a table's rows are in `service.store.partial_indexes`.

- `log_entries` and `audit_events` are append-only: triggers refuse UPDATE and DELETE on both
  databases. Whatever comes to be known of such a row later is written in another table.
- `signatures` keeps its evidence: triggers refuse DELETE, and UPDATE of anything but
  `standing`. A partial unique index lets one signature stand for each statement.
- Of one code and subject one finding is open: a partial unique index. Lists of withdrawals are
  numbered without gaps by their primary key, so that of two issuers at once one fails.
- `approvals` keep what was asked, and `approval_votes` and `quorum_rules` everything: triggers
  refuse to change or delete it.
- `timestamps` are append-only too, one for each signature at most.
- A version has one chain in force; those that were replaced stay, because their subjects do.
- A lease is (`owner`, `fencing`, `lease_until`) by the database's clock. `fencing` never goes
  back, not even over a release. An intent's lease is never passed on (a retry makes a new
  intent) and its owner is unique to the run, so that it needs no fencing number.
- Sequence numbers (`seq`) order by the moment of insertion. On PostgreSQL a lower number may
  become visible after a higher one, and a rolled-back one leaves a gap.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

HEAD: Final = "r0016"
"""The revision that this schema is; a test compares it with the newest migration."""

OLDEST_PROGRAM: Final = "r0016"
"""The oldest program, named by its HEAD, that works with this schema: never one that the release
before is older than. A test holds every migration since then to adding only."""

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in an INTEGER primary key.
_Sequence: Final = BigInteger().with_variant(Integer(), "sqlite")


def _seq(name: str = "seq") -> Column[int]:
    return Column(name, _Sequence, primary_key=True, autoincrement=True)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _number(name: str, *, null: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean(create_constraint=False), nullable=False)


def _bytes(name: str) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=False)


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


keys: Final = Table(
    "keys",
    metadata,
    Column("name", Text, primary_key=True),
    _text("purpose"),
    _text("algorithm"),
    _number("created_at"),
)

key_versions: Final = Table(
    "key_versions",
    metadata,
    Column("key", Text, ForeignKey("keys.name"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _text("state"),
    _bytes("cka_id"),
    _bytes("public_key"),
    _text("attributes"),
    _number("created_at"),
    _number("compromised_since", null=True),
    _flag("ever_compromised"),
    Column("algorithm", Text, nullable=False, server_default=""),
    Column(
        "alongside",
        Boolean(create_constraint=False),
        nullable=False,
        server_default=false(),
    ),
    _text("compromise_reason", null=True),
    UniqueConstraint("public_key"),
    _one_of("state", "staged", "active", "suspended", "retired", "compromised", "destroyed"),
)

key_locations: Final = Table(
    "key_locations",
    metadata,
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    _text("token"),
    _text("serial"),
    _text("state"),
    Column("cka_id", LargeBinary, nullable=False, server_default=text("''")),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
    # The version's own, repeated so that the database can refuse two versions in one place.
    Index("ux_key_locations_place", "token", "serial", "cka_id", unique=True),
)

certificate_chains: Final = Table(
    "certificate_chains",
    metadata,
    _seq(),
    _text("key"),
    Column("version", Integer, nullable=False),
    _flag("in_force"),
    _text("origin"),
    _text("subject"),
    _text("certificates"),
    _number("not_before"),
    _number("not_after"),
    _number("recorded_at"),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
    Index("ix_certificate_chains_key_version", "key", "version", "seq"),
    _one_of("origin", "imported", "own-ca", "self-signed"),
    sqlite_autoincrement=True,
)
IN_FORCE: Final = certificate_chains.c.in_force.is_(True)

credentials: Final = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    _text("name"),
    _text("person"),
    _text("role"),
    _text("repositories"),
    _text("keys"),
    _text("rights"),
    _text("token_hash"),
    _number("created_at"),
    _number("expires_at", null=True),
    _number("revoked_at", null=True),
    _text("ssh_public_key", null=True),
    UniqueConstraint("name"),
    UniqueConstraint("token_hash"),
)


def _statement() -> tuple[Column[str] | Column[int], ...]:
    return (
        _text("statement_hash"),
        _text("format"),
        _text("key"),
        Column("version", Integer, nullable=False),
        _text("repository"),
        _text("digest"),
        _text("identity"),
        _text("annotations"),
        _text("scheme"),
    )


intents: Final = Table(
    "intents",
    metadata,
    _seq(),
    _text("id"),
    _text("request_id"),
    Column("item", Integer, nullable=False),
    *_statement(),
    _text("payload_sha256"),
    _text("credential_id"),
    _flag("attach"),
    _text("replaces", null=True),
    _text("state"),
    _text("reason", null=True),
    _text("answered_with", null=True),
    _text("owner"),
    _number("lease_until"),
    _number("created_at"),
    UniqueConstraint("id"),
    Index("ix_intents_request_id", "request_id"),
    _one_of("state", "open", "done", "superseded", "discarded", "abandoned"),
    sqlite_autoincrement=True,
)
OPEN: Final = intents.c.state == literal_column("'open'")
"""A literal, as in `WAITING`: with a parameter no planner could use the partial index."""

signatures: Final = Table(
    "signatures",
    metadata,
    _seq(),
    _text("id"),
    _text("intent_id"),
    _flag("standing"),
    *_statement(),
    _bytes("payload"),
    _bytes("signature"),
    _text("credential_id"),
    _number("created_at"),
    UniqueConstraint("id"),
    UniqueConstraint("intent_id"),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
    Index("ix_signatures_digest", "digest"),
    Index("ix_signatures_repository", "repository"),
    Index("ix_signatures_created_at", "created_at"),
    sqlite_autoincrement=True,
)
STANDING: Final = signatures.c.standing.is_(True)

log_entries: Final = Table(
    "log_entries",
    metadata,
    _seq(),
    Column("signature_id", Text, ForeignKey("signatures.id"), nullable=False),
    _bytes("entry"),
    UniqueConstraint("signature_id"),
    sqlite_autoincrement=True,
)

timestamps: Final = Table(
    "timestamps",
    metadata,
    Column("signature_id", Text, ForeignKey("signatures.id"), primary_key=True),
    _text("authority"),
    _number("at"),
    _bytes("reply"),
)

audit_events: Final = Table(
    "audit_events",
    metadata,
    _seq(),
    _number("at"),
    _bytes("body"),
    sqlite_autoincrement=True,
)

outbox: Final = Table(
    "outbox",
    metadata,
    _seq("id"),
    _text("kind"),
    _text("repository"),
    _text("digest"),
    _text("state"),
    _number("generation"),
    _number("attempts"),
    _number("looks"),
    _text("seen", null=True),
    _number("due_at"),
    _text("owner", null=True),
    _number("fencing"),
    _number("lease_until"),
    _text("error_code", null=True),
    _text("error_detail", null=True),
    _number("created_at"),
    _text("subject_media_type", null=True),
    _number("subject_size", null=True),
    UniqueConstraint("digest", "repository", "kind"),
    _one_of("state", "waiting", "parked", "done"),
    sqlite_autoincrement=True,
)
WAITING: Final = outbox.c.state == literal_column("'waiting'")

PARKED: Final = outbox.c.state == literal_column("'parked'")

attachments: Final = Table(
    "attachments",
    metadata,
    _seq(),
    _text("id"),
    Column("signature_id", Text, ForeignKey("signatures.id"), nullable=False),
    Column("order_id", _Sequence, ForeignKey("outbox.id"), nullable=False),
    _text("state"),
    _text("manifest_digest", null=True),
    _text("media_type", null=True),
    _text("error_code", null=True),
    _text("error_detail", null=True),
    _number("updated_at"),
    UniqueConstraint("id"),
    UniqueConstraint("signature_id"),
    Index("ix_attachments_order_id", "order_id"),
    _one_of("state", "pending", "attached", "failed"),
    sqlite_autoincrement=True,
)

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    _text("owner", null=True),
    _number("fencing"),
    _number("lease_until"),
)

idempotency: Final = Table(
    "idempotency",
    metadata,
    _seq(),
    _text("id"),
    _text("credential_id"),
    _text("key"),
    _text("body_hash"),
    _text("owner", null=True),
    _number("fencing"),
    _number("lease_until"),
    _flag("released"),
    Column("results", LargeBinary, nullable=True),
    _number("expires_at"),
    UniqueConstraint("id"),
    UniqueConstraint("credential_id", "key"),
    Index("ix_idempotency_expires_at", "expires_at"),
    sqlite_autoincrement=True,
)

jobs: Final = Table(
    "jobs",
    metadata,
    _seq(),
    _text("id"),
    _text("kind"),
    _text("state"),
    _text("credential_id"),
    _text("requester"),
    _text("subject"),
    _bytes("request"),
    _text("body_hash"),
    _text("idempotency_key", null=True),
    _number("total"),
    _number("done"),
    _number("failed"),
    _number("attempts"),
    _number("starts"),
    Column("notes", LargeBinary, nullable=True),
    Column("results", LargeBinary, nullable=True),
    _text("error_code", null=True),
    _text("error_detail", null=True),
    _number("due_at"),
    _text("owner", null=True),
    _number("fencing"),
    _number("lease_until"),
    _number("created_at"),
    _number("ended_at", null=True),
    _number("expires_at", null=True),
    UniqueConstraint("id"),
    UniqueConstraint("credential_id", "idempotency_key"),
    Index("ix_jobs_expires_at", "expires_at"),
    _one_of("state", "queued", "running", "done", "failed"),
    sqlite_autoincrement=True,
)
OPEN_JOB: Final = jobs.c.ended_at.is_(None)

cursors: Final = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    _number("position"),
)

switches: Final = Table(
    "switches",
    metadata,
    Column("name", Text, primary_key=True),
    _flag("is_on"),
    _text("reason", null=True),
    _text("actor"),
    _number("at"),
)

rate_buckets: Final = Table(
    "rate_buckets",
    metadata,
    Column("name", Text, primary_key=True),
    _number("full_at"),
    Index("ix_rate_buckets_full_at", "full_at"),
)

pin_latches: Final = Table(
    "pin_latches",
    metadata,
    Column("token", Text, primary_key=True),
    Column("fingerprint", Text, primary_key=True),
    _number("latched_at"),
)

findings: Final = Table(
    "findings",
    metadata,
    _seq(),
    _text("id"),
    _text("code"),
    _text("severity"),
    _text("subject"),
    _text("evidence"),
    _number("opened_at"),
    _number("closed_at", null=True),
    UniqueConstraint("id"),
    _one_of("severity", "critical", "high", "medium", "low"),
    sqlite_autoincrement=True,
)
STILL_OPEN: Final = findings.c.closed_at.is_(None)

withdrawal_lists: Final = Table(
    "withdrawal_lists",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    _number("issued_at"),
    _number("valid_until"),
    _text("content"),
    _text("key"),
    Column("version", Integer, nullable=False),
    _bytes("payload"),
    _bytes("signature"),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
)

log_additions: Final = Table(
    "log_additions",
    metadata,
    _seq(),
    _text("kind"),
    _text("identity"),
    _bytes("entry"),
    _number("at"),
    UniqueConstraint("identity"),
    _one_of("kind", "second", "foreign", "refilled"),
    sqlite_autoincrement=True,
)
"""Entries of the log `signatures` beside `log_entries`; `identity` lets each in once."""

log_queue: Final = Table(
    "log_queue",
    metadata,
    _seq(),
    _text("log"),
    _text("source"),
    _number("number"),
    UniqueConstraint("source", "number"),
    Index("ix_log_queue_log_seq", "log", "seq"),
    sqlite_autoincrement=True,
)
"""What no tree holds yet. Triggers fill it: no code can record an entry and forget the log."""

log_trees: Final = Table(
    "log_trees",
    metadata,
    Column("tree_id", BigInteger, primary_key=True, autoincrement=False),
    _text("log"),
    _text("name"),
    Column("key", Text, ForeignKey("keys.name"), nullable=False),
    _number("size"),
    _bytes("root"),
    _bytes("frontier"),
    _number("signed_size"),
    _text("signer", null=True),
    _number("signer_until"),
    _number("started_at"),
    _number("closed_at", null=True),
    UniqueConstraint("name"),
    _one_of("log", "signatures", "audit"),
)
OPEN_TREE: Final = log_trees.c.closed_at.is_(None)

log_leaves: Final = Table(
    "log_leaves",
    metadata,
    Column("tree_id", BigInteger, ForeignKey("log_trees.tree_id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    _text("source"),
    _number("number"),
    _bytes("hash"),
    _number("at"),
    UniqueConstraint("source", "number"),
    sqlite_with_rowid=False,
)

log_nodes: Final = Table(
    "log_nodes",
    metadata,
    Column("tree_id", BigInteger, ForeignKey("log_trees.tree_id"), primary_key=True),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    _bytes("hash"),
    sqlite_with_rowid=False,
)
"""Roots of full tiles: `level` 1 is over 256 leaves, and so on. Level 0 is in `log_leaves`."""

log_checkpoints: Final = Table(
    "log_checkpoints",
    metadata,
    Column("tree_id", BigInteger, ForeignKey("log_trees.tree_id"), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    _bytes("root"),
    _number("at"),
    _text("key"),
    Column("version", Integer, nullable=False),
    _text("note"),
    _text("rekor_note", null=True),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
    sqlite_with_rowid=False,
)

log_cosignatures: Final = Table(
    "log_cosignatures",
    metadata,
    Column("tree_id", BigInteger, primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", Text, primary_key=True),
    _text("line"),
    _number("at"),
    ForeignKeyConstraint(["tree_id", "size"], ["log_checkpoints.tree_id", "log_checkpoints.size"]),
    sqlite_with_rowid=False,
)

log_promises: Final = Table(
    "log_promises",
    metadata,
    Column("tree_id", BigInteger, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _number("integrated_time"),
    _bytes("signature"),
    ForeignKeyConstraint(["tree_id", "position"], ["log_leaves.tree_id", "log_leaves.position"]),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
    sqlite_with_rowid=False,
)

approvals: Final = Table(
    "approvals",
    metadata,
    _seq(),
    _text("id"),
    _text("kind"),
    _text("subject"),
    _text("arguments"),
    _bytes("document"),
    _text("fingerprint"),
    _text("requester_id"),
    _text("requester"),
    _text("requester_person"),
    _text("requester_role"),
    Column("needed", Integer, nullable=False),
    _flag("signed"),
    _text("state"),
    _text("owner", null=True),
    _number("lease_until"),
    _text("outcome", null=True),
    _text("error_code", null=True),
    _text("error_detail", null=True),
    _number("created_at"),
    _number("expires_at"),
    _number("ended_at", null=True),
    UniqueConstraint("id"),
    Index("ix_approvals_state", "state"),
    Index("ix_approvals_subject", "subject"),
    _one_of("state", "pending", "executing", "executed", "rejected", "expired", "failed"),
    sqlite_autoincrement=True,
)

approval_votes: Final = Table(
    "approval_votes",
    metadata,
    _seq(),
    Column("approval_id", Text, ForeignKey("approvals.id"), nullable=False),
    _text("person_key"),
    _text("person"),
    _text("credential_id"),
    _text("credential"),
    _text("role"),
    _text("decision"),
    _text("reason", null=True),
    _text("signature", null=True),
    _text("ssh_public_key", null=True),
    _number("at"),
    UniqueConstraint("approval_id", "person_key", "decision"),
    _one_of("decision", "approve", "reject"),
    sqlite_autoincrement=True,
)

quorum_rules: Final = Table(
    "quorum_rules",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _text("rules"),
    _text("actor"),
    _number("at"),
)
"""Every set of rules that was ever in force; the highest number is now."""

openpgp_certifications: Final = Table(
    "openpgp_certifications",
    metadata,
    Column("key", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _bytes("signature"),
    _number("created_at"),
    ForeignKeyConstraint(["key", "version"], ["key_versions.key", "key_versions.version"]),
)

schema_programs: Final = Table(
    "schema_programs",
    metadata,
    Column("oldest", Text, primary_key=True),
)
"""One row: the OLDEST_PROGRAM of the program that migrated last, for those that are older."""

quarantines: Final = Table(
    "quarantines",
    metadata,
    Column("installation", Text, primary_key=True),
    Column("module", Text, primary_key=True),
    _number("times"),
    _number("since"),
    _number("lifted_at", null=True),
)

audit_index: Final = Table(
    "audit_index",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _number("at"),
    _text("action"),
    _text("actor"),
    _text("subject"),
    Index("ix_audit_index_action_seq", "action", "seq"),
    Index("ix_audit_index_actor_seq", "actor", "seq"),
    Index("ix_audit_index_subject_seq", "subject", "seq"),
    Index("ix_audit_index_at", "at"),
)
"""What events can be found by; written when they enter their log. The events are the evidence."""
