"""Migrations lead from nothing to the schema, and the record refuses to be rewritten."""

from __future__ import annotations

import stat
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from service.domain.errors import PublicKeyTakenError, SchemaUnsupportedError, StoreUnavailableError
from service.domain.keys import Algorithm, Attributes, GeneratedKey, Location
from service.domain.log import AdditionKind, LogName, Promise
from service.operations.log import SignHeads
from service.store import Store, migrate, postgresql
from service.store.database import Database
from service.store.migrate import _exclusively, config, upgrade
from service.store.partial_indexes import metadata
from service.store.schema import HEAD, OLDEST_PROGRAM
from service.store.urls import parse_url
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
    with closing(Store(empty_url)) as store:
        store.health.check()


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
    for ask in (store.health.check, store.health.schema):
        with pytest.raises(SchemaUnsupportedError, match="not migrated"):
            ask()
    upgrade(postgres_url)
    store.health.check()
    assert store.health.schema().revision == HEAD
    store.close()


def migrated_by_another(url: str, revision: str, oldest_program: str) -> None:
    run(url, f"UPDATE alembic_version SET version_num = '{revision}'")
    run(url, f"UPDATE schema_programs SET oldest = '{oldest_program}'")


def test_a_newer_schema_is_taken_where_it_names_this_program_and_left_as_it_is(
    store_url: str, store: Store
) -> None:
    migrated_by_another(store_url, "r9999", HEAD)
    store.health.check()
    state = upgrade(store_url)
    assert (state.revision, state.oldest_program, state.is_newer) == ("r9999", HEAD, True)
    make_key(store)
    assert store.health.schema() == state


@pytest.mark.parametrize(
    ("revision", "oldest", "told"),
    [
        ("r9999", "r9998", "needs a program of r9998 or newer; this one is of " + HEAD),
        ("r0001", HEAD, f"has schema r0001, this program needs {HEAD}"),
        ("another", HEAD, f"has schema another, this program needs {HEAD}"),
        ("r9999", "another", "needs a program of another or newer"),
    ],
)
def test_a_schema_with_which_this_program_does_not_work_is_told(
    store_url: str, store: Store, revision: str, oldest: str, told: str
) -> None:
    store.health.check()
    migrated_by_another(store_url, revision, oldest)
    with pytest.raises(SchemaUnsupportedError, match=told):
        store.health.check()
    with pytest.raises(SchemaUnsupportedError, match=told):
        store.health.schema().require_support()


@pytest.mark.parametrize("revision", ["r9999", "another"])
def test_an_upgrade_refuses_what_another_program_keeps_for_itself(
    store_url: str, store: Store, revision: str
) -> None:
    migrated_by_another(store_url, revision, "r9998")
    with pytest.raises(SchemaUnsupportedError):
        upgrade(store_url)
    assert store.health.schema().revision == revision


def test_an_upgrade_waits_for_a_table_in_turns_so_that_others_get_theirs(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(migrate, "LOCKED_OUT", 2)
    upgrade(postgres_url)
    held = postgresql.engine(parse_url(postgres_url))
    with held.connect() as connection:
        connection.exec_driver_sql("LOCK TABLE schema_programs IN ACCESS SHARE MODE")
        upgrade(postgres_url)  # readers are in nobody's way who only writes a row
        connection.exec_driver_sql("LOCK TABLE schema_programs IN SHARE MODE")
        with pytest.raises(StoreUnavailableError, match="LockNotAvailable"):
            upgrade(postgres_url)
    held.dispose()
    upgrade(postgres_url)


def schema_at(url: str, revision: str) -> dict[str, dict[str, Any]]:
    """Migrate so far, and return the tables as the database tells them."""
    with _exclusively(url) as connection:
        command.upgrade(config(connection), revision)
        return tables(connection)


def tables(connection: Connection) -> dict[str, dict[str, Any]]:
    found = inspect(connection)
    return {
        table: {
            "columns": {each["name"]: each for each in found.get_columns(table)},
            "key": found.get_pk_constraint(table),
            "unique": {
                each["name"]: each["column_names"]
                for each in found.get_indexes(table)
                if each["unique"]
            },
            "foreign": found.get_foreign_keys(table),
            "checks": found.get_check_constraints(table),
        }
        for table in found.get_table_names()
    }


def takes_away(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> list[str]:
    """Return what of the new schema a program of the old one would trip over."""
    faults = [f"{table} is gone" for table in old if table not in new]
    for table in old.keys() & new.keys():
        before, after = old[table]["columns"], new[table]["columns"]
        faults += [f"{table}.{name} is gone" for name in before.keys() - after.keys()]
        faults += [
            f"{table}.{name} is not as it was"
            for name in before.keys() & after.keys()
            if str(before[name]["type"]) != str(after[name]["type"])
            or before[name]["nullable"] > after[name]["nullable"]
        ]
        faults += [
            f"{table}.{name} has to be given"
            for name in after.keys() - before.keys()
            if not after[name]["nullable"] and after[name]["default"] is None
        ]
        faults += [
            f"{table} has another rule: {rule}"
            for rule in ("key", "unique", "foreign", "checks")
            if old[table][rule] != new[table][rule]
        ]
    return faults


def test_what_was_migrated_since_the_oldest_program_only_adds(empty_url: str) -> None:
    old = schema_at(empty_url, OLDEST_PROGRAM)
    assert takes_away(old, schema_at(empty_url, HEAD)) == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DROP TABLE cursors", "cursors is gone"),
        ("ALTER TABLE switches DROP COLUMN reason", "switches.reason is gone"),
        ("ALTER TABLE switches ADD COLUMN more TEXT NOT NULL", "switches.more has to be given"),
        ("ALTER TABLE switches ALTER reason SET NOT NULL", "switches.reason is not as it was"),
        ("ALTER TABLE cursors ALTER position TYPE INTEGER", "cursors.position is not as it was"),
        ("CREATE UNIQUE INDEX more ON switches (actor)", "switches has another rule: unique"),
        ("ALTER TABLE switches ADD CHECK (is_on)", "switches has another rule: checks"),
    ],
)
def test_a_migration_that_takes_away_would_be_noticed(
    postgres_url: str, statement: str, told: str
) -> None:
    old = schema_at(postgres_url, HEAD)
    with _exclusively(postgres_url) as connection:
        connection.exec_driver_sql("ALTER TABLE switches ADD COLUMN maybe TEXT")
        connection.exec_driver_sql("ALTER TABLE switches ADD COLUMN given TEXT NOT NULL DEFAULT ''")
        connection.exec_driver_sql("CREATE INDEX additional ON switches (actor)")
        assert takes_away(old, tables(connection)) == []
        connection.exec_driver_sql(statement)
        assert takes_away(old, tables(connection)) == [told]


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
