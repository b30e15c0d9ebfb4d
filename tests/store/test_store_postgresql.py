"""PostgreSQL's own troubles: dead connections, deadlocks, a server that is not there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from service.domain.errors import StoreUnavailableError
from service.store import Store, postgresql
from service.store.database import Database
from service.store.migrate import upgrade
from service.store.urls import parse_url
from tests.support.postgres import PostgresServer
from tests.support.records import make_key

INSERT = "INSERT INTO leases (name, owner, fencing, lease_until) VALUES (%s, 'a', 1, 0)"


@pytest.fixture
def database(postgres_store_url: str) -> Iterator[Database]:
    opened = Database(postgres_store_url)
    yield opened
    opened.close()


def end_connections(server: PostgresServer, database: Database) -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{database.url.database}'"
    )


def test_connections_that_died_in_the_pool_are_replaced(
    postgres_server: PostgresServer, database: Database
) -> None:
    insert = lambda name: lambda c: c.exec_driver_sql(INSERT, (name,)).rowcount  # noqa: E731
    assert database.write(insert("a")) == 1
    end_connections(postgres_server, database)
    assert database.write(insert("b")) == 1
    end_connections(postgres_server, database)
    query = "SELECT name FROM leases ORDER BY name"
    assert database.read(lambda c: c.exec_driver_sql(query).scalars().all()) == ["a", "b"]


def test_a_connection_that_dies_again_is_a_store_that_is_away(
    postgres_server: PostgresServer, database: Database
) -> None:
    ran = []

    def work(connection: Connection) -> None:
        ran.append(1)
        connection.exec_driver_sql(INSERT, ("a",))
        end_connections(postgres_server, database)
        connection.exec_driver_sql(INSERT, ("b",))

    with pytest.raises(StoreUnavailableError):
        database.write(work)
    assert len(ran) == 2
    query = "SELECT count(*) FROM leases"
    assert database.read(lambda c: c.exec_driver_sql(query).scalar_one()) == 0


def test_connections_to_a_server_that_was_made_a_standby_are_replaced(database: Database) -> None:
    def connection_id(connection: Connection) -> int:
        return int(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())

    insert = lambda c: c.exec_driver_sql(INSERT, ("a",)).rowcount  # noqa: E731
    before = database.write(connection_id)
    assert database.write(connection_id) == before
    # What each statement of it says from then on is what a standby says.
    database.write(lambda c: c.exec_driver_sql("SET default_transaction_read_only = on").rowcount)
    assert database.write(insert) == 1
    assert database.write(connection_id) != before


def test_a_server_that_vanishes_is_noticed_by_the_kernel_as_the_url_says(
    postgres_store_url: str,
) -> None:
    def told_to_libpq(url: str) -> dict[str, str]:
        with closing(Database(url)) as database:
            return database.read(
                lambda connection: connection.connection.driver_connection.info.get_parameters()
            )

    told = told_to_libpq(postgres_store_url)
    assert told.items() >= postgresql.CONNECTING.items()
    changed = told_to_libpq(f"{postgres_store_url}&tcp_user_timeout=700&connect_timeout=50")
    assert changed == {**told, "tcp_user_timeout": "700", "connect_timeout": "50"}


def test_a_host_that_has_vanished_is_asked_once_and_not_at_each_connection(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = parse_url(postgres_url).database
    there = postgres_server.socket_directory
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()  # the kernel takes connections, and nobody ever answers
        port = silent.getsockname()[1]
        hosts = f"host=127.0.0.1,{there}&port={port},"
        url = f"postgresql://postgres@/{name}?{hosts}&connect_timeout=4"
        with closing(Database(url)) as database:
            for _ in range(3):
                assert database.read(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()) == 1
                end_connections(postgres_server, database)
        silent.setblocking(False)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):
            silent.accept()


def test_what_dies_at_the_commit_is_not_repeated(
    postgres_server: PostgresServer, database: Database
) -> None:
    ran = []

    def work(connection: Connection) -> None:
        ran.append(1)
        connection.exec_driver_sql(INSERT, ("a",))
        end_connections(postgres_server, database)

    with pytest.raises(StoreUnavailableError):
        database.write(work)
    assert len(ran) == 1


def test_the_victim_of_a_deadlock_is_tried_again(database: Database) -> None:
    for name in ("a", "b"):
        database.write(lambda c, name=name: c.exec_driver_sql(INSERT, (name,)).rowcount)
    both_hold_one = threading.Barrier(2)
    update = "UPDATE leases SET fencing = fencing + 1 WHERE name = %s"

    def work(first: str, second: str) -> Callable[[Connection], None]:
        tries = []

        def run(connection: Connection) -> None:
            tries.append(1)
            connection.exec_driver_sql(update, (first,))
            if len(tries) == 1:
                both_hold_one.wait(60)
            connection.exec_driver_sql(update, (second,))

        return run

    threads = [
        threading.Thread(target=database.write, args=(work(*order),)) for order in ("ab", "ba")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    query = "SELECT fencing FROM leases"
    assert database.read(lambda c: c.exec_driver_sql(query).scalars().all()) == [3, 3]


def test_a_conflict_that_never_ends_is_a_store_that_is_away(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(postgresql, "PAUSE_SECONDS", 0.0)
    ran = []

    def work(connection: Connection) -> None:
        ran.append(1)
        connection.exec_driver_sql(
            "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'serialization_failure'; END $$"
        )

    with pytest.raises(StoreUnavailableError):
        database.write(work)
    assert len(ran) == postgresql.ATTEMPTS


def test_a_bug_in_a_statement_is_not_called_an_outage(database: Database) -> None:
    with pytest.raises(DBAPIError):
        database.write(lambda c: c.exec_driver_sql("SELEKT 1").rowcount)
    with pytest.raises(DBAPIError):
        database.read(lambda c: c.exec_driver_sql("SELECT 1/0").all())
    insert = lambda c: c.exec_driver_sql(INSERT, ("a",)).rowcount  # noqa: E731
    database.write(insert)
    with pytest.raises(IntegrityError):
        database.write(insert)


def test_a_server_that_is_not_there_is_a_store_that_is_away(tmp_path: Path) -> None:
    url = f"postgresql://postgres:secret@/store?host={tmp_path}"
    store = Store(url)
    for ask in (
        store.health.check,
        lambda: store.keys.get("release"),
        lambda: make_key(store),
        lambda: upgrade(url),
    ):
        with pytest.raises(StoreUnavailableError) as caught:
            ask()
        assert "secret" not in str(caught.value)
    store.close()
