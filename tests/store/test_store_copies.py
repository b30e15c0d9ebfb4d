"""Copies of a store: taken while others write, looked at, and put into an empty place."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from service.domain.audit import AuditEvent
from service.domain.errors import ConfigurationError, StoreUnavailableError
from service.store import Store
from service.store.copies import (
    copy_out,
    damage,
    is_empty,
    put_aside,
    put_in,
    put_in_place,
)
from tests.support.postgres import PostgresServer
from tests.support.records import make_key


@pytest.fixture
def empty_url(store_url: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place of the same kind."""
    if store_url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'new' / 'store.db'}"
    url = request.getfixturevalue("postgres_url")
    assert isinstance(url, str)
    return url


def test_a_copy_is_one_state_of_a_store_that_others_write_to(
    store_url: str, empty_url: str, tmp_path: Path
) -> None:
    enough, begun = threading.Event(), threading.Event()
    file = tmp_path / "copy"
    with closing(Store(store_url)) as store:
        make_key(store)

        def write() -> None:
            while not enough.is_set():
                # Both or neither: they are one transaction.
                store.audit.append([AuditEvent("x", "a", "b"), AuditEvent("x", "c", "d")])
                begun.set()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert begun.wait(60)
            copy_out(store_url, file)
        finally:
            enough.set()
            thread.join()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert damage(file) is None
    assert is_empty(empty_url)
    put_in(file, empty_url)
    assert not is_empty(empty_url)
    with closing(Store(empty_url)) as copied:
        assert copied.keys.get("release") is not None
        count = "SELECT count(*) FROM audit_events WHERE body LIKE '%\"x\"%'"
        if "postgresql" in empty_url:
            count = "SELECT count(*) FROM audit_events WHERE position('\"x\"'::bytea in body) > 0"
        events = copied._database.read(lambda c: c.exec_driver_sql(count).scalar_one())
        assert events % 2 == 0
        # It is a whole store, with everything that guards it.
        copied.health.check()
        with pytest.raises(Exception, match=r"append-only|never"):
            copied._database.write(lambda c: c.exec_driver_sql("DELETE FROM audit_events"))


def test_a_copy_that_was_damaged_is_found_out(store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    copy_out(store_url, file)
    content = file.read_bytes()
    assert damage(file) is None
    middle = len(content) // 2
    file.write_bytes(content[:middle] + os.urandom(4096) + content[middle + 4096 :])
    assert damage(file) is not None
    file.write_bytes(content[: middle // 2])
    assert damage(file) is not None


def test_nothing_is_put_over_what_is_there(store_url: str, tmp_path: Path) -> None:
    file = tmp_path / "copy"
    copy_out(store_url, file)
    with pytest.raises(FileExistsError):
        copy_out(store_url, file)
    assert not is_empty(store_url)
    with pytest.raises((FileExistsError, StoreUnavailableError)):
        put_in(file, store_url)


def test_what_is_put_aside_and_not_wanted_is_gone(sqlite_store_url: str, tmp_path: Path) -> None:
    file, place = tmp_path / "copy", tmp_path / "new" / "store.db"
    url = f"sqlite:///{place}"
    copy_out(sqlite_store_url, file)
    with put_aside(file, url) as aside, closing(Store(aside)) as store:
        store.health.check()
        assert is_empty(url)
    assert list(place.parent.iterdir()) == []
    with put_aside(file, url) as aside:
        with closing(Store(aside)) as store:
            make_key(store)
        put_in_place(aside, url)
    assert [path.name for path in place.parent.iterdir()] == ["store.db"]
    with closing(Store(url)) as store:
        assert store.keys.get("release") is not None


def test_a_password_reaches_the_tools_in_a_file_and_in_no_argument(
    postgres_server: PostgresServer,
    postgres_store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`pg_dump` is the real one, behind a script that keeps what it was given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tools / "pg_dump"
    script.write_text(
        "#!/bin/sh\n"
        f'printf "%s\\n" "$@" >{tmp_path}/arguments\n'
        "for one; do case $one in --dbname=*) "
        f'cp "$(echo "$one" | sed "s/.*passfile=//;s/ .*//")" {tmp_path}/passfile;; esac; done\n'
        'PATH=$REAL_PATH exec pg_dump "$@"\n'
    )
    script.chmod(0o700)
    monkeypatch.setenv("REAL_PATH", os.environ["PATH"])
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    database = postgres_store_url.partition("@/")[2]
    copy_out(f"postgresql://postgres:hunter%3A2\\@/{database}", tmp_path / "copy")
    arguments = (tmp_path / "arguments").read_text()
    assert "hunter" not in arguments
    assert (tmp_path / "passfile").read_text() == "*:*:*:*:hunter\\:2\\\\\n"
    assert damage(tmp_path / "copy") is None
    private = arguments.partition("passfile=")[2].split()[0]
    assert not Path(private).exists()


def test_a_tool_that_is_missing_is_named(
    postgres_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"pg_dump is not installed: .*apt-get install"):
        copy_out(postgres_store_url, tmp_path / "copy")
