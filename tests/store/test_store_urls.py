"""Database URLs, cursors and patterns: what people write, and what the databases make of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, literal, select

from service.domain.errors import ConfigurationError
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
    ],
)
def test_every_usual_spelling_reaches_postgresql(
    postgres_server: PostgresServer, migrated_template: str, spelling: str
) -> None:
    directory = str(postgres_server.socket_directory)
    url = spelling.format(
        name=migrated_template, directory=directory, quoted=directory.replace("/", "%2F")
    )
    store = Store(url)
    try:
        store.health.check()
    finally:
        store.close()


def test_host_port_and_password_are_kept() -> None:
    url = parse_url("postgres://user:p%40ss@db.example.com:6432/sealwright?sslmode=verify-full")
    assert (url.drivername, url.host, url.port) == ("postgresql+psycopg", "db.example.com", 6432)
    assert (url.password, url.database) == ("p@ss", "sealwright")
    assert url.query == {"sslmode": "verify-full"}


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
    ],
)
def test_what_is_no_usable_url_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Store(text)
    assert "secret" not in str(caught.value)


PARTS = st.sampled_from(["a", "b", "-", ".", "_", "/", "*", "**", "host.example:5000", "+", "|"])
TEXTS = st.lists(PARTS.filter(lambda part: "*" not in part), max_size=6).map("".join)
PATTERNS = st.lists(st.lists(PARTS, max_size=6).map("".join), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def regex_databases(
    postgres_server: PostgresServer, migrated_template: str, migrated_file: Path
) -> Iterator[list[Database]]:
    databases = [
        Database(f"sqlite:///{migrated_file}"),
        Database(postgres_server.url(migrated_template)),
    ]
    yield databases
    for database in databases:
        database.close()


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
