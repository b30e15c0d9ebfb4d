"""What `sealwright dev` does to its database before anything serves: migrate it, and see to
an admin whose token lies in the state directory.

`sealwright dev` may share a database with another that runs elsewhere, and then cannot make
the first admin. It gets an admin of its own only where the database was begun by
`sealwright dev`: its oldest admin then belongs to the person `PERSON`. Whoever can do this
could write to the database anyway; the mark is there so that nobody does it to a real one
by mistake. Nothing but the service.dev package calls this, and the store audits it.

Run as `python -m service.bootstrap.dev TOKEN_FILE`.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.bootstrap.local import upgrade_database
from service.bootstrap.settings import Settings
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import Clock, SystemClock
from service.domain.errors import (
    AdminExistsError,
    ConfigurationError,
    CredentialExistsError,
    ServiceError,
)
from service.domain.ids import new_id
from service.domain.pages import PageRequest
from service.domain.tokens import hash_token, new_token
from service.operations.credentials import Credentials
from service.ports.store import CredentialBook
from service.store import Store

PERSON: Final = "sealwright dev"
_ACTOR: Final = "sealwright dev"


def admin_token(book: CredentialBook, clock: Clock, known: str | None) -> str:
    """Return the token of an admin: `known`, if it is still one, or that of a new one.

    Raises:
        ConfigurationError: the database was not begun by `sealwright dev`.
    """
    if known is not None:
        credential = book.by_token_hash(hash_token(known))
        if credential is not None and credential.usable(clock.now()):
            return known
    try:
        return Credentials(book, clock).create_first("admin", PERSON)[1]
    except (AdminExistsError, CredentialExistsError):
        return _another_admin(book, clock)


def _another_admin(book: CredentialBook, clock: Clock) -> str:
    admins = [held for held in _every(book) if held.caller.role is Role.ADMIN]
    oldest = min(admins, key=lambda held: held.created_at, default=None)
    if oldest is None or oldest.caller.person != PERSON:
        raise ConfigurationError(
            "this database was not begun by `sealwright dev`, which leaves it alone: "
            "name another in SEALWRIGHT_DATABASE_URL, or start `sealwright serve`"
        )
    token, token_hash = new_token()
    caller = Caller(new_id("cred"), f"admin-{secrets.token_hex(4)}", PERSON, Role.ADMIN)
    book.create(Credential(caller, token_hash, clock.now()), actor=_ACTOR, only_if_no_admin=False)
    return token


def _every(book: CredentialBook) -> Iterator[Credential]:
    cursor: str | None = None
    while True:
        page = book.list(PageRequest(cursor=cursor))
        yield from page.items
        if page.next is None:
            return
        cursor = page.next


def main(token_file: Path) -> int:
    try:
        upgrade_database()
        store = Store(Settings.from_environment(need_token=False).database_url)
        try:
            known = token_file.read_text() if token_file.exists() else None
            token = admin_token(store.credentials, SystemClock(), known)
        finally:
            store.close()
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a program's own words
        return 1
    if token != known:
        descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
