"""SQLite's group commit, and what a store that is away looks like."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from service.domain.errors import LeaseLostError, StoreUnavailableError
from service.ports.store import Completed
from service.store import Store, sqlite, writer
from service.store.database import Database
from service.store.drafts import Share, draft
from service.store.sqlite import connect
from tests.support.records import a_key, a_statement, an_intent, an_outcome, make_key

T = TypeVar("T")

INSERT = "INSERT INTO leases (name, owner, fencing, lease_until) VALUES (?, 'a', 1, 0)"


@pytest.fixture(autouse=True)
def no_group_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is taken in however long the machine took for what came before."""
    monkeypatch.setattr(writer, "GROUP_SECONDS", 60.0)


@pytest.fixture
def path(sqlite_store_url: str) -> Path:
    return Path(sqlite_store_url.removeprefix("sqlite:///"))


@pytest.fixture
def database(sqlite_store_url: str) -> Iterator[Database]:
    opened = Database(sqlite_store_url)
    yield opened
    opened.close()


def inserting(name: str) -> Callable[[Connection], int]:
    return lambda connection: connection.exec_driver_sql(INSERT, (name,)).rowcount


def names(database: Database) -> set[str]:
    query = "SELECT name FROM leases"
    return set(database.read(lambda c: c.exec_driver_sql(query).scalars().all()))


def together(
    database: Database, *works: Callable[[Connection], object]
) -> tuple[list[object], list[str]]:
    """Hand in works while the writer is busy, as `side_by_side`."""
    return side_by_side(database, *(partial(database.write, work) for work in works))


def side_by_side(
    database: Database, *calls: Callable[[], object]
) -> tuple[list[object], list[str]]:
    """Make calls that write while the writer is busy, so that they share the next transaction.

    Return what each came to, a value or an exception, and the statements of that transaction.
    """
    began, go_on = threading.Event(), threading.Event()
    statements: list[str] = []

    def hold(connection: Connection) -> None:
        began.set()
        go_on.wait(60)
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(statements.append)

    outcomes: list[object] = [None] * len(calls)

    def hand_in(number: int) -> None:
        try:
            outcomes[number] = calls[number]()
        except BaseException as error:  # noqa: BLE001  # compared by the test
            outcomes[number] = error

    holder = threading.Thread(target=database.write, args=(hold,))
    holder.start()
    began.wait(60)
    group = database._open().writer
    assert group is not None
    threads = []
    for number in range(len(calls)):
        thread = threading.Thread(target=hand_in, args=(number,))
        thread.start()
        threads.append(thread)
        while len(group._waiting) <= number:  # handed in, in this order
            assert thread.is_alive()
    go_on.set()
    for thread in [holder, *threads]:
        thread.join()
    return outcomes, statements


def frame_of(statements: Sequence[str]) -> list[str]:
    return [s for s in statements if s.split()[0] in {"BEGIN", "COMMIT", "SAVEPOINT"}]


def test_works_that_wait_are_committed_together(database: Database) -> None:
    outcomes, statements = together(database, inserting("a"), inserting("b"), inserting("c"))
    assert outcomes == [1, 1, 1]
    # The first COMMIT is that of the work which held the others up.
    savepoints = ["SAVEPOINT work"] * 3
    assert frame_of(statements) == ["COMMIT", "BEGIN IMMEDIATE", *savepoints, "COMMIT"]
    assert names(database) == {"a", "b", "c"}


def test_a_work_alone_needs_no_savepoint(database: Database) -> None:
    outcomes, statements = together(database, inserting("a"))
    assert outcomes == [1]
    assert frame_of(statements) == ["COMMIT", "BEGIN IMMEDIATE", "COMMIT"]


def failing(error: BaseException) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT, ("half",))
        raise error

    return work


@pytest.mark.parametrize("error", [LeaseLostError(), KeyError("bug"), KeyboardInterrupt()])
def test_a_failing_work_takes_nothing_of_its_neighbours_along(
    database: Database, error: BaseException
) -> None:
    outcomes, _ = together(database, inserting("a"), failing(error), inserting("c"))
    assert outcomes == [1, error, 1]
    assert names(database) == {"a", "c"}


def test_a_failing_work_alone_leaves_nothing(database: Database) -> None:
    error = LeaseLostError()
    with pytest.raises(LeaseLostError):
        database.write(failing(error))
    assert names(database) == set()
    assert database.write(inserting("a")) == 1


def test_a_broken_constraint_is_its_works_own(database: Database) -> None:
    outcomes, _ = together(database, inserting("a"), inserting("a"), inserting("b"))
    assert outcomes[0] == outcomes[2] == 1
    assert isinstance(outcomes[1], IntegrityError)
    assert names(database) == {"a", "b"}


def insert_shares(connection: Connection, shares: Sequence[str]) -> Sequence[str]:
    for share in shares:
        connection.exec_driver_sql(INSERT, (share,))
    return [f"{share} of {len(shares)}" for share in shares]


def test_shares_of_one_run_are_run_together_and_answered_each_by_its_own(
    database: Database,
) -> None:
    calls = [partial(database.write_share, insert_shares, name) for name in "abc"]
    other = partial(database.write, inserting("x"))
    outcomes, statements = side_by_side(database, calls[0], other, *calls[1:])
    assert outcomes == ["a of 3", 1, "b of 3", "c of 3"]
    assert frame_of(statements).count("SAVEPOINT work") == 2
    assert names(database) == set("abcx")


def test_a_share_that_fails_fails_alone(database: Database) -> None:
    calls = [partial(database.write_share, insert_shares, name) for name in "aab"]
    outcomes, _ = side_by_side(database, *calls)
    assert outcomes[0] == "a of 1"
    assert isinstance(outcomes[1], IntegrityError)
    assert outcomes[2] == "b of 1"
    assert names(database) == {"a", "b"}


def fill_shares(connection: Connection, shares: Sequence[str]) -> Sequence[None]:
    filling(connection)
    return [None for _ in shares]


def test_shares_that_fill_the_disk_are_each_told(database: Database) -> None:
    calls = [partial(database.write_share, fill_shares, name) for name in "ab"]
    outcomes, _ = side_by_side(database, *calls)
    assert all(isinstance(outcome, StoreUnavailableError) for outcome in outcomes)
    assert outcomes[0] is not outcomes[1]  # a traceback must not be shared by threads
    assert names(database) == set()
    pages = "PRAGMA max_page_count = 1000000"
    database.write(lambda connection: connection.exec_driver_sql(pages).scalar_one())
    assert database.write_share(insert_shares, "c") == "c of 1"


def test_requests_side_by_side_sign_with_the_statements_of_one(sqlite_store_url: str) -> None:
    store = Store(sqlite_store_url)
    make_key(store)
    database = store._database
    intents = [an_intent(a_statement(n), request_id=f"req_{n}") for n in (1, 2, 2)]
    outcomes = [an_outcome(intent) for intent in intents]
    owners = ["own_a", "own_b", "own_c"]

    def intend(number: int) -> None:
        store.journal.intend([intents[number]], owner=owners[number], seconds=30)

    def complete(number: int) -> Sequence[Completed]:
        # The third does not hold its intent: somebody else's owner.
        owner = owners[number] if number < len(owners) else "nobody"
        return store.journal.complete(
            [outcomes[number % len(owners)]], owner=owner, order_lease_seconds=30
        )

    _, statements = side_by_side(database, *(partial(intend, n) for n in range(3)))
    assert sum(s.startswith("UPDATE intents") for s in statements) == 1
    thief, owner = complete(3), complete(0)
    assert isinstance(thief[0].error, LeaseLostError)
    assert owner[0].signature is not None
    done, statements = side_by_side(database, partial(complete, 1), partial(complete, 2))
    assert sum(s.startswith("UPDATE intents") for s in statements) == 2  # done, and discarded
    first, second = (cast("Sequence[Completed]", one)[0].signature for one in done)
    assert first is not None
    assert first == second  # they said the same, so that one of them stands
    assert first.id == outcomes[1].signature_id
    assert store.journal.get(first.id) == first
    store.close()


def test_only_a_share_that_depends_on_nobody_joins_others() -> None:
    def share(*, force: bool = False, attach: bool = False, count: int = 1) -> Share:
        made = [an_outcome(an_intent(attach=attach), force=force) for _ in range(count)]
        return Share(tuple(map(draft, made)), "own", 30.0)

    assert share().may_join_others
    assert not share(force=True).may_join_others
    assert not share(attach=True).may_join_others
    assert not share(count=1000).may_join_others


def insert_much(connection: Connection) -> None:
    """Change more pages than the writer's cache keeps."""
    rows = [(f"{number}" + "x" * 4000,) for number in range(1000)]
    connection.exec_driver_sql(INSERT, rows)


def test_a_large_group_is_written_once_at_its_commit(path: Path, database: Database) -> None:
    wal = path.with_name(path.name + "-wal")

    def growth(run: Callable[[Connection], object], connection: Connection) -> int:
        before = wal.stat().st_size
        run(connection)
        return wal.stat().st_size - before

    # A connection like the writer's, but for that, does write before the commit.
    stranger = sqlite.engine(lambda: connect(path, read_only=False)).connect()
    stranger.exec_driver_sql("BEGIN IMMEDIATE")
    assert growth(insert_much, stranger) > 0
    stranger.exec_driver_sql("ROLLBACK")
    stranger.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    stranger.close()
    assert database.write(partial(growth, insert_much)) == 0
    assert wal.stat().st_size > 0


def filling(connection: Connection) -> None:
    """Insert more than the database may grow by."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}")
    for number in range(1000):
        connection.exec_driver_sql(INSERT, (f"{number}" + "x" * 4000,))


def test_a_full_disk_fails_what_it_undoes_and_nothing_else(database: Database) -> None:
    outcomes, _ = together(database, inserting("a"), filling, inserting("c"))
    assert isinstance(outcomes[1], StoreUnavailableError)
    kept = {n for n, outcome in zip("abc", outcomes, strict=True) if outcome == 1}
    assert names(database) == kept
    for outcome in outcomes:
        assert outcome == 1 or isinstance(outcome, StoreUnavailableError)


def test_a_full_disk_is_a_store_that_is_away(database: Database) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        database.write(filling)
    assert caught.value.retry_after is not None
    assert names(database) == set()


def test_a_missing_database_is_not_made_in_passing(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/missing.db")
    with pytest.raises(StoreUnavailableError):
        store.health.check()
    with pytest.raises(StoreUnavailableError):
        store.keys.get("release")
    assert list(tmp_path.glob("*.db")) == []
    store.close()


def test_a_file_that_is_no_database_is_a_store_that_is_away(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database" * 1000)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailableError):
        store.health.check()
    with pytest.raises(StoreUnavailableError):
        store.keys.get("release")
    store.close()


def test_a_database_locked_by_a_stranger_is_away_until_it_is_free(
    monkeypatch: pytest.MonkeyPatch, path: Path, database: Database
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.05)
    stranger = connect(path, read_only=False)
    stranger.execute("BEGIN IMMEDIATE")
    stranger.execute(INSERT, ("stranger",))
    with pytest.raises(StoreUnavailableError):
        database.write(inserting("a"))
    assert names(database) == set()  # a reader waits for nobody
    stranger.execute("COMMIT")
    stranger.close()
    assert database.write(inserting("b")) == 1
    assert names(database) == {"stranger", "b"}


def test_a_work_whose_turn_never_comes_is_withdrawn(
    monkeypatch: pytest.MonkeyPatch, path: Path, database: Database
) -> None:
    database.write(inserting("before"))
    with path.with_name(path.name + ".lock").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with monkeypatch.context() as patience:
            patience.setattr(writer, "WAIT_SECONDS", 0.1)
            with pytest.raises(StoreUnavailableError, match="locked"):
                database.write(inserting("late"))
        fcntl.flock(other, fcntl.LOCK_UN)
    assert database.write(inserting("after")) == 1
    assert names(database) == {"before", "after"}


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        connection.exec_driver_sql(INSERT, ("slow",))
        began.set()
        go_on.wait(60)

    thread = threading.Thread(target=database.write, args=(slow,))
    thread.start()
    began.wait(60)
    assert names(database) == set()
    go_on.set()
    thread.join()
    assert names(database) == {"slow"}


def test_a_closed_store_opens_again_when_it_is_used(sqlite_store_url: str) -> None:
    store = Store(sqlite_store_url)
    key = make_key(store)
    store.close()
    store.close()
    assert store.keys.get("release") == key
    store.keys.create(*a_key("other"), actor="custodian")
    store.close()


def test_a_closed_writer_takes_nothing_more(path: Path) -> None:
    group = writer.GroupWriter(path)
    group.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        group.write(inserting("a"))


def test_commits_are_flushed_to_the_disk_and_keys_are_checked(path: Path) -> None:
    connection = connect(path, read_only=False)
    found = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    }
    connection.close()
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_readers_connection_cannot_write(database: Database) -> None:
    with pytest.raises(StoreUnavailableError):
        database.read(inserting("a"))
    assert names(database) == set()
