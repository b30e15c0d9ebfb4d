"""Database URLs in the spellings that people use, mapped to the two drivers that we have.

A URL may hold a password, so no error of this module repeats it, nor has one for its cause that does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.domain.errors import ConfigurationError

_POSTGRESQL: Final = frozenset({"postgres", "postgresql"})
_MEMORY: Final = frozenset({None, "", ":memory:"})
_PORT: Final = re.compile(r"[0-9]{0,5}")  # none is the usual one


def parse_url(text: str) -> URL:
    """Return the URL with the driver that Sealwright uses; a SQLite path is made absolute.

    `postgres://`, `postgresql://` and `postgresql+<any driver>://` all mean psycopg. What follows
    is what libpq takes (PostgreSQL's documentation, section 34.1.1.2), several hosts among it.
    Of several, the one is looked for that takes writes, unless `target_session_attrs` says which.

    Raises:
        ConfigurationError: the text is no URL of a database that Sealwright can use.
    """
    scheme, separator, rest = text.partition("://")
    if separator and scheme.partition("+")[0] in _POSTGRESQL:
        return _postgresql(f"postgresql://{rest}")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigurationError("the database URL cannot be read") from None
    if url.get_backend_name() != "sqlite":
        raise ConfigurationError("the database URL must begin with sqlite:/// or postgresql://")
    if url.database in _MEMORY or str(url.database).startswith("file:"):
        raise ConfigurationError(
            "the SQLite database must be a plain file: sqlite:////absolute/path"
        )
    return url.set(drivername="sqlite+pysqlite", database=str(Path(str(url.database)).absolute()))


def _postgresql(text: str) -> URL:
    # Where SQLite does, a process need not load the driver.
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        given = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except (psycopg.Error, ValueError):
        raise ConfigurationError("the database URL cannot be read") from None
    # SQLAlchemy's own grammar has one host; as arguments it hands on whatever there is.
    hosts, ports = (given.get(name, "").split(",") for name in ("host", "port"))
    if len(ports) == 1:
        ports *= len(hosts)  # as libpq reads it
    if len(ports) != len(hosts) or not all(map(_PORT.fullmatch, ports)):
        raise ConfigurationError(
            "the database URL must have one port for each host, or one for all"
        )
    if len(hosts) > 1:
        given["port"] = ",".join(ports)
        given.setdefault("target_session_attrs", "read-write")
    return URL.create(
        "postgresql+psycopg",
        username=given.pop("user", None),
        password=given.pop("password", None),
        database=given.pop("dbname", None),
        query=given,
    )


def sqlite_path(url: URL) -> Path | None:
    """Return the file of a parsed SQLite URL; None for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or url.database is None:
        return None
    return Path(url.database)
