"""`pg_dump` and `pg_restore`, run as children. A password goes to them in a file (libpq's
`passfile`), never as an argument, and they never ask for one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from service.domain.errors import ConfigurationError, StoreUnavailableError

# A restored database belongs to whoever restores it: roles are not part of a backup.
_OURS_ALONE: Final = ("--no-owner", "--no-privileges")


def dump(url: URL, target: Path) -> None:
    """Write everything to `target`, in the tool's custom format.

    Raises:
        ConfigurationError: the tool is not installed.
        StoreUnavailableError: it failed.
    """
    with _conninfo(url) as conninfo:
        _run("pg_dump", "--format=custom", *_OURS_ALONE, f"--file={target}", *conninfo)


def load(file: Path, url: URL) -> None:
    """Load a dump, in one transaction. Raises as `dump`."""
    with _conninfo(url) as conninfo:
        _run("pg_restore", "--single-transaction", *_OURS_ALONE, *conninfo, str(file))


def damage(file: Path) -> str | None:
    """Return what the tool finds wrong with a dump: it reads the contents, all of them.

    Raises:
        ConfigurationError: the tool is not installed.
    """
    try:
        _run("pg_restore", f"--file={os.devnull}", str(file))
    except StoreUnavailableError as error:
        return str(error)
    return None


@contextmanager
def _conninfo(url: URL) -> Iterator[tuple[str, ...]]:
    words = url.translate_connect_args(username="user", database="dbname")
    password = words.pop("password", None)
    settings = {**words, **url.query}
    if "sslpassword" in settings:
        raise ConfigurationError(
            "sslpassword in the database URL would be seen by everybody on this machine: give "
            "the client a key file without one"
        )
    with TemporaryDirectory(prefix="sealwright-") as private:
        if password is not None:
            file = Path(private) / "pgpass"
            escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
            file.touch(mode=0o600)
            file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
            settings["passfile"] = str(file)
        yield "--no-password", f"--dbname={make_conninfo(**settings)}"


def _run(tool: str, *arguments: str) -> None:
    program = shutil.which(tool)
    if program is None:
        raise ConfigurationError(
            f"{tool} is not installed: PostgreSQL's client programs, as new as the server or newer "
            "(Debian: apt-get install postgresql-client; Fedora: dnf install postgresql)"
        )
    done = subprocess.run(  # noqa: S603  # a program of PATH, with arguments of ours
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        told = done.stderr.strip().splitlines()
        raise StoreUnavailableError(f"{tool}: {told[0] if told else done.returncode}")
