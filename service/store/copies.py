"""A copy of the whole store as one file, taken while others write, and put into an empty place.

SQLite's is a database, made by its online backup in one step: one snapshot of readers, so that
writers neither wait nor make it begin anew. PostgreSQL's is what `pg_dump` writes, one snapshot too.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import text

from service.domain.errors import StoreUnavailableError
from service.store import pg_tools, sqlite
from service.store.database import Database
from service.store.urls import parse_url, sqlite_path

_TABLES: Final = text(
    "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
    "ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') "
    "AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
)


def is_postgresql(url: str) -> bool:
    """Raises ConfigurationError."""
    return sqlite_path(parse_url(url)) is None


def copy_out(url: str, target: Path) -> None:
    """Copy the store into the new file `target`, with mode 0600, durably.

    Raises:
        ConfigurationError
        StoreUnavailableError: it could not be copied.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if path is None:
        pg_tools.dump(parsed, target)
    else:
        try:
            with (
                closing(sqlite.connect(path, read_only=True)) as source,
                closing(sqlite3.connect(target)) as copy,
            ):
                source.backup(copy)
            settle(target)
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"the database could not be copied: {error}") from error
    with target.open("rb") as written:
        os.fsync(written.fileno())


def damage(file: Path) -> str | None:
    """Return what is wrong with a copy by its own program's word; None where nothing is.

    Raises:
        StoreUnavailableError: it could not be asked.
    """
    with file.open("rb") as begun:
        is_sqlite = begun.read(16) == b"SQLite format 3\0"
    if not is_sqlite:
        return pg_tools.damage(file)
    try:
        # Immutable: a copy needs no lock, and may lie where nothing can be written.
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)) as copy:
            faults = [row[0] for row in copy.execute("PRAGMA integrity_check(10)")]
            strays = copy.execute("PRAGMA foreign_key_check").fetchmany(10)
    except sqlite3.DatabaseError as error:
        return str(error)
    if faults != ["ok"]:
        return "; ".join(faults)
    return f"rows that refer to nothing in {strays[0][0]}" if strays else None


def is_empty(url: str) -> bool:
    """Whether nothing is there that a restored store would mix with.

    Raises:
        ConfigurationError, StoreUnavailableError.
    """
    path = sqlite_path(parse_url(url))
    if path is not None:
        return not any(Path(f"{path}{more}").exists() for more in ("", "-wal", "-journal"))
    with closing(Database(url)) as database:
        return not database.read(lambda connection: connection.execute(_TABLES).scalar_one())


def put_in(file: Path, url: str) -> None:
    """Put a copy into an empty place, whole or not at all.

    Raises:
        ConfigurationError
        StoreUnavailableError: it could not be done.
    """
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is None:
        pg_tools.load(file, parsed)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as target, file.open("rb") as source:
        shutil.copyfileobj(source, target)


@contextmanager
def put_aside(file: Path, url: str) -> Iterator[str]:
    """Put a copy where it can be looked at before it is in its place, and yield its URL.

    What is not put in place by then is removed. PostgreSQL has no such place: the copy is in the
    database then, and stays there. Raises as `put_in`.
    """
    path = sqlite_path(parse_url(url))
    if path is None:
        put_in(file, url)
        yield url
        return
    aside = path.with_name(f".{path.name}.restoring")
    made = [Path(f"{aside}{more}") for more in ("", "-wal", "-shm", "-journal", ".lock")]
    for left in made:  # by one who was killed
        left.unlink(missing_ok=True)
    try:
        put_in(file, f"sqlite:///{aside}")
        yield f"sqlite:///{aside}"
    finally:
        for left in made:
            left.unlink(missing_ok=True)


def put_in_place(aside: str, url: str) -> None:
    """Let everybody have what `put_aside` yielded, durably. Nobody may use it at this moment.

    Raises:
        StoreUnavailableError: somebody uses it.
    """
    here, path = sqlite_path(parse_url(aside)), sqlite_path(parse_url(url))
    if here is None or path is None or here == path:
        return
    settle(here)
    here.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def settle(path: Path) -> None:
    """Make of a SQLite database that nobody uses one file that stands alone, durably.

    Raises:
        StoreUnavailableError: somebody uses it.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"{path.name} is in use: {error}") from error
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    with path.open("rb") as written:
        os.fsync(written.fileno())
