"""Database URLs in the spellings that people use, mapped to the two drivers that we have.

A URL may hold a password, so no error of this module repeats it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.domain.errors import ConfigurationError

_POSTGRESQL: Final = frozenset({"postgres", "postgresql"})
_MEMORY: Final = frozenset({None, "", ":memory:"})


def parse_url(text: str) -> URL:
    """Return the URL with the driver that Sealwright uses; a SQLite path is made absolute.

    `postgres://`, `postgresql://` and `postgresql+<any driver>://` all mean psycopg. A socket
    directory may stand in `?host=/dir` or, percent-encoded as libpq has it, as the host.

    Raises:
        ConfigurationError: the text is no URL of a database that Sealwright can use.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError("the database URL cannot be read") from error
    backend = url.drivername.partition("+")[0]
    if backend in _POSTGRESQL:
        host = unquote(url.host) if url.host else url.host
        if host is not None and host.startswith("/"):
            url = url.set(host="").update_query_dict({"host": host})
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        if url.database in _MEMORY or str(url.database).startswith("file:"):
            raise ConfigurationError(
                "the SQLite database must be a plain file: sqlite:////absolute/path"
            )
        return url.set(
            drivername="sqlite+pysqlite", database=str(Path(str(url.database)).absolute())
        )
    raise ConfigurationError("the database URL must begin with sqlite:/// or postgresql://")


def sqlite_path(url: URL) -> Path | None:
    """Return the file of a parsed SQLite URL; None for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    return Path(url.database)
