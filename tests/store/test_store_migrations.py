"""Migrations lead from nothing to the schema, and the record refuses to be rewritten."""

from __future__ import annotations

import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from service.domain.errors import PublicKeyTakenError, StoreUnavailableError
from service.domain.keys import Algorithm, Attributes, GeneratedKey, Location
from service.domain.log import AdditionKind, LogName, Promise
from service.operations.log import SignHeads
from service.store import Store, migrate
from service.store.database import Database
from service.store.migrate import _exclusively, config, upgrade
from service.store.partial_indexes import metadata
from service.store.schema import HEAD
from tests.support.logs import make_log_key, new_signer
from tests.support.records import a_statement, an_intent, make_key, sign

BEFORE_THE_LOG = "r0003"  # the revision under that of the log


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new/store.db"
    url = request.getfixturevalue("postgres_url")
    assert isinstance(url, str)
    return url


def run(url: str, statement: str) -> None:
    database = Database(url)
    try:
        database.write(lambda c: c.exec_driver_sql(statement).rowcount)
    finally:
        database.close()


def test_an_upgrade_from_nothing_equals_the_schema(empty_url: str) -> None:
    upgrade(empty_url)
    database = Database(empty_url)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    try:
        assert database.read(differences) == []
    finally:
        database.close()


def test_the_comparison_would_see_a_difference(empty_url: str) -> None:
    upgrade(empty_url)
    run(empty_url, "DROP INDEX ix_signatures_digest")
    database = Database(empty_url)
    try:
        found = database.read(
            lambda c: list(compare_metadata(MigrationContext.configure(c), metadata))
        )
        assert [change[0] for change in found] == ["add_index"]
    finally:
        database.close()


def test_the_revision_that_the_code_names_is_the_newest(sqlite_store_url: str) -> None:
    database = Database(sqlite_store_url)
    try:
        script = database.read(lambda c: ScriptDirectory.from_config(config(c)))
        assert script.get_heads() == [HEAD]
    finally:
        database.close()


def test_a_second_upgrade_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    store = Store(empty_url)
    key = make_key(store)
    upgrade(empty_url)
    assert store.keys.get("release") == key
    store.close()


def test_several_upgrades_at_once_end_well(empty_url: str) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            upgrade(empty_url)
        except BaseException as error:  # noqa: BLE001  # told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store = Store(empty_url)
    store.health.check()
    store.close()


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    upgrade(empty_url)
    database = Database(empty_url)
    kept = "leases"
    run(empty_url, "DELETE FROM alembic_version")
    for table in reversed(metadata.sorted_tables):
        if table.name != kept:
            run(empty_url, f"DROP TABLE {table.name}")
    with pytest.raises(StoreUnavailableError):
        upgrade(empty_url)
    assert set(database.read(lambda c: inspect(c).get_table_names())) == {kept, "alembic_version"}
    database.close()


def test_health_tells_a_database_that_is_not_migrated(postgres_url: str) -> None:
    store = Store(postgres_url)
    with pytest.raises(StoreUnavailableError, match="not migrated"):
        store.health.check()
    upgrade(postgres_url)
    store.health.check()
    store.close()


def test_health_tells_a_schema_of_another_program(store_url: str, store: Store) -> None:
    store.health.check()
    run(store_url, "UPDATE alembic_version SET version_num = 'r9999'")
    with pytest.raises(StoreUnavailableError, match="r9999"):
        store.health.check()


def test_the_database_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    upgrade(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_entries SET entry = entry",
        "DELETE FROM log_entries",
        "UPDATE audit_events SET at = 0",
        "DELETE FROM audit_events",
        "DELETE FROM signatures",
        "UPDATE signatures SET signature = payload",
        "UPDATE signatures SET created_at = 0",
        "UPDATE signatures SET standing = standing, identity = 'x'",
    ],
)
def test_the_record_refuses_to_be_rewritten(store_url: str, store: Store, statement: str) -> None:
    make_key(store)
    (done,) = sign(store, an_intent())
    assert done.signature is not None
    with pytest.raises(DBAPIError, match="append-only"):
        run(store_url, statement)
    assert store.journal.get(done.signature.id) == done.signature


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_leaves SET hash = root FROM log_trees",
        "DELETE FROM log_leaves",
        "DELETE FROM log_nodes",
        "UPDATE log_nodes SET position = 5",
        "DELETE FROM log_checkpoints",
        "UPDATE log_checkpoints SET note = ''",
        "DELETE FROM log_additions",
        "UPDATE log_additions SET kind = 'foreign'",
        "DELETE FROM log_cosignatures",
        "UPDATE log_cosignatures SET line = ''",
        "DELETE FROM log_promises",
        "UPDATE log_promises SET integrated_time = 1",
        "DELETE FROM log_trees",
        "UPDATE log_trees SET size = size - 1",
        "UPDATE log_trees SET signed_size = 0",
        "UPDATE log_trees SET name = 'another.example'",
        "UPDATE log_trees SET tree_id = 7",
    ],
)
def test_the_log_refuses_to_be_rewritten(store_url: str, store: Store, statement: str) -> None:
    signer = new_signer()
    make_key(store)
    log_key = make_log_key(store, signer)
    writer, log = store.log_writer, LogName.SIGNATURES
    writer.begin(log, tree_id=1, name="a.example", key=log_key.name)
    writer.add(AdditionKind.SECOND, "an identity", b"entry")
    sign(store, *(an_intent(a_statement(n), item=n) for n in range(256)))
    done = writer.integrate(log, owner="own", seconds=5, limit=1000)
    assert done is not None
    writer.publish(SignHeads(store.keys, signer)(done.tree), owner="own")
    head = store.log_reader.newest(log)
    assert head is not None
    store.cosignatures.keep(head, {"a witness": "a line\n"})
    writer.promise(1, 0, log_key.versions[0], Promise(7, b"signature", b""))
    before = writer.tree(log), store.log_reader.newest(log)
    with pytest.raises(DBAPIError, match="append-only"):
        run(store_url, statement)
    assert (writer.tree(log), store.log_reader.newest(log)) == before
    assert before[1] is not None


def test_what_was_recorded_before_there_was_a_log_is_queued_by_the_migration(
    empty_url: str,
) -> None:
    with _exclusively(empty_url) as connection:
        command.upgrade(config(connection), BEFORE_THE_LOG)
    for number in range(3):
        run(empty_url, f"INSERT INTO audit_events (at, body) VALUES ({number}, '{number}')")
    upgrade(empty_url)
    run(empty_url, "INSERT INTO audit_events (at, body) VALUES (3, '3')")
    database = Database(empty_url)
    queue = "SELECT log, source, number FROM log_queue ORDER BY seq"
    try:
        queued = database.read(lambda c: c.exec_driver_sql(queue).all())
        assert [tuple(row) for row in queued] == [("audit", "audit", n) for n in (1, 2, 3, 4)]
    finally:
        database.close()


def test_whether_a_signature_stands_may_change(store_url: str, store: Store) -> None:
    make_key(store)
    (done,) = sign(store, an_intent())
    assert done.signature is not None
    run(store_url, "UPDATE signatures SET standing = false")
    assert store.journal.standing([done.signature.statement.hash()]) == {}


@pytest.mark.parametrize("table", ["log_entries", "audit_events"])
def test_replacing_a_row_is_refused_too(sqlite_store_url: str, table: str) -> None:
    store = Store(sqlite_store_url)
    make_key(store)
    sign(store, an_intent())
    column = "body" if table == "audit_events" else "entry"
    other = "at" if table == "audit_events" else "signature_id"
    statement = (
        f"INSERT OR REPLACE INTO {table} (seq, {other}, {column}) "
        f"SELECT seq, {other}, x'00' FROM {table}"
    )
    with pytest.raises(DBAPIError, match="append-only"):
        run(sqlite_store_url, statement)
    store.close()


@pytest.mark.parametrize("table", ["log_entries", "audit_events", "signatures"])
def test_truncating_the_record_is_refused(postgres_store_url: str, table: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        run(postgres_store_url, f"TRUNCATE {table} CASCADE")


def test_keys_of_the_trunk_are_kept_by_the_life_cycle(empty_url: str) -> None:
    with migrate._exclusively(empty_url) as connection:
        command.upgrade(config(connection), "r0001")
        for statement in (
            "INSERT INTO keys VALUES ('release', 'image', 'rsa-3072', 1000)",
            "INSERT INTO key_versions VALUES ('release', 1, 'active', :id, :pk, '{}', 1, NULL, false)",
            "INSERT INTO key_locations VALUES ('release', 1, 0, 'token', 'serial', 'present')",
        ):
            values = {"id": b"id-1", "pk": b"public"} if ":id" in statement else {}
            connection.execute(text(statement), values)
    upgrade(empty_url)
    store = Store(empty_url)
    key = store.keys.get("release")
    assert key is not None
    (version,) = key.versions
    assert (version.algorithm, version.alongside) == (Algorithm.RSA_3072, False)
    assert version.compromise_reason is None
    with pytest.raises(PublicKeyTakenError):
        store.keys.create(
            replace(key, name="other", versions=()),
            GeneratedKey(b"id-1", b"another", Location("token", "serial"), Attributes()),
            actor="custodian",
        )
    store.close()
