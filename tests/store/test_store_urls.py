"""Database URLs, cursors and patterns: what people write, and what the databases make of it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, literal, select

from service.domain.errors import ConfigurationError, StoreUnavailableError
from service.policy.patterns import any_matches
from service.store import Store
from service.store.database import Database
from service.store.paging import pattern_regex
from service.store.urls import parse_url, sqlite_path
from tests.support.postgres import PostgresServer


@pytest.mark.parametrize(
    "spelling",
    [
        "postgresql://postgres@/{name}?host={directory}",
        "postgres://postgres@/{name}?host={directory}",
        "postgresql+psycopg://postgres@/{name}?host={directory}",
        "postgresql+psycopg2://postgres@/{name}?host={directory}",
        "postgresql:///{name}?user=postgres&host={directory}",
        "postgresql://postgres@{quoted}/{name}",
        "postgresql://postgres@%2Fnowhere,{quoted}/{name}",
        "postgresql://postgres@/{name}?host=/nowhere,{directory}&target_session_attrs=primary",
    ],
)
def test_every_usual_spelling_reaches_postgresql(
    postgres_server: PostgresServer, postgres_store_url: str, spelling: str
) -> None:
    directory = str(postgres_server.socket_directory)
    url = spelling.format(
        name=parse_url(postgres_store_url).database,
        directory=directory,
        quoted=directory.replace("/", "%2F"),
    )
    store = Store(url)
    try:
        store.health.check()
    finally:
        store.close()


def handed_to_libpq(text: str) -> dict[str, str]:
    """What the driver passes on of a URL."""
    url = parse_url(text)
    [_, arguments] = url.get_dialect()().create_connect_args(url)
    return {name: str(value) for name, value in arguments.items()}


def test_host_port_and_password_are_kept() -> None:
    text = "postgres://user:p%40ss@db.example.com:6432/sealwright?sslmode=verify-full"
    assert handed_to_libpq(text) == {
        "host": "db.example.com",
        "port": "6432",
        "user": "user",
        "password": "p@ss",
        "dbname": "sealwright",
        "sslmode": "verify-full",
    }
    assert handed_to_libpq("postgresql://[::1]:6432/a")["host"] == "::1"
    assert handed_to_libpq("postgresql:///a") == {"dbname": "a"}


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("postgresql://one:5432,two:5433/db", "one,two", "5432,5433"),
        ("postgresql+psycopg://one,two:5433/db", "one,two", ",5433"),
        ("postgresql://one,two/db", "one,two", ","),
        ("postgresql://[fd00::1]:5432,[fd00::2]/db", "fd00::1,fd00::2", "5432,"),
        ("postgresql://%2Frun%2Fone,%2Frun%2Ftwo/db", "/run/one,/run/two", ","),
        ("postgresql:///db?host=one,two&port=5433", "one,two", "5433,5433"),
    ],
)
def test_several_hosts_are_all_kept_and_the_one_that_takes_writes_is_wanted(
    text: str, host: str, port: str
) -> None:
    wanted = {"host": host, "port": port, "dbname": "db", "target_session_attrs": "read-write"}
    assert handed_to_libpq(text) == wanted
    more = f"{text}{'&' if '?' in text else '?'}target_session_attrs=any"
    assert handed_to_libpq(more) == {**wanted, "target_session_attrs": "any"}


def test_a_password_is_not_shown_with_the_url_that_holds_it() -> None:
    url = parse_url("postgresql://user:secret@one:5432,two:5432/db")
    assert url.password == "secret"
    assert "secret" not in f"{url} {url!r}"


def test_a_host_that_takes_no_writes_is_passed_over(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = parse_url(postgres_url).database
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    url = f"{postgres_url},/nowhere"
    assert "not migrated" in asked(f"{url}&target_session_attrs=any")
    assert "not migrated" not in asked(url)


def asked(url: str) -> str:
    """Return why a database that is not ready for us is not."""
    store = Store(url)
    with pytest.raises(StoreUnavailableError) as caught:
        store.health.check()
    store.close()
    return str(caught.value)


def test_sqlite_files_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("sqlite:///a.db", "sqlite+pysqlite:///a.db", f"sqlite:///{tmp_path}/a.db"):
        assert sqlite_path(parse_url(text)) == tmp_path / "a.db"
    assert sqlite_path(parse_url("postgresql:///a")) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a.db", id="no-scheme"),
        pytest.param("sqlite://", id="memory"),
        pytest.param("sqlite:///:memory:", id="memory-by-name"),
        pytest.param("sqlite:///file:a.db?uri=true", id="uri"),
        pytest.param("mysql://secret@host/db", id="another-database"),
        pytest.param("postgresql://user:secret@host:port/db", id="no-port"),
        pytest.param("postgresql://user:secret@host:123456/db", id="port-too-long"),
        pytest.param("postgresql://user:secret@/db?host=a,b,c&port=1,2", id="ports-too-few"),
        pytest.param("postgresql://user:secret%zz@host/db", id="no-percent-encoding"),
        pytest.param("postgresql://host/db?secret=secret", id="unknown-parameter"),
    ],
)
def test_what_is_no_usable_url_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Store(text)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


PARTS = st.sampled_from(["a", "b", "-", ".", "_", "/", "*", "**", "host.example:5000", "+", "|"])
TEXTS = st.lists(PARTS.filter(lambda part: "*" not in part), max_size=6).map("".join)
PATTERNS = st.lists(st.lists(PARTS, max_size=6).map("".join), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def regex_databases(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Database]]:
    # Of their own: a template that somebody is connected to cannot be copied.
    name = postgres_server.create_database()
    file = tmp_path_factory.mktemp("regex") / "a.db"
    file.touch()
    databases = [Database(f"sqlite:///{file}"), Database(postgres_server.url(name))]
    yield databases
    for database in databases:
        database.close()
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@given(patterns=PATTERNS, text=TEXTS)
def test_the_databases_read_patterns_as_policy_does(
    regex_databases: list[Database], patterns: list[str], text: str
) -> None:
    query = select(literal(text).regexp_match(pattern_regex(patterns)))

    def ask(connection: Connection) -> bool:
        return bool(connection.execute(query).scalar_one())

    expected = any_matches(patterns, text)
    assert [database.read(ask) for database in regex_databases] == [expected, expected]


def test_the_server_of_the_tests_listens_on_no_port(postgres_server: PostgresServer) -> None:
    conninfo = f"host={postgres_server.socket_directory} user=postgres dbname=postgres"
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SHOW listen_addresses").fetchone()
    assert row == ("",)
