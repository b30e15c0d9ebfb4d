"""What `sealwright dev` does to its database before anything serves: migrate it, and see to
an admin and two custodians whose tokens lie in the state directory.

`sealwright dev` may share a database with another that runs elsewhere, and then can neither
make the first admin nor, once two custodians exist, a custodian without the approval of those.
It gets its own only where the database was begun by `sealwright dev`: its oldest admin then
belongs to the person `PERSON`. Whoever can do this could write to the database anyway; the mark
is there so that nobody does it to a real one by mistake. Nothing but the service.dev package
calls this, and the store audits it.

Run as `python -m service.bootstrap.dev DIRECTORY`.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeGuard

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
from service.operations.credentials import make_first_admin
from service.ports.store import CredentialBook
from service.store import Store

PERSON: Final = "sealwright dev"
CUSTODIANS: Final = MappingProxyType(
    {"custodian": "dev custodian 1", "custodian-2": "dev custodian 2"}
)
"""Two people, so that they can make a quorum."""
_ACTOR: Final = "sealwright dev"


def admin_token(book: CredentialBook, clock: Clock, known: str | None) -> str:
    """Return the token of an admin: `known`, if it is still one, or that of a new one.

    Raises:
        ConfigurationError: the database was not begun by `sealwright dev`.
    """
    if _works(known, book, clock):
        return known
    try:
        return make_first_admin(book, clock, name="admin", person=PERSON)[1]
    except (AdminExistsError, CredentialExistsError):
        return _made(book, clock, "admin", PERSON, Role.ADMIN)


def custodian_token(book: CredentialBook, clock: Clock, name: str, known: str | None) -> str:
    """As `admin_token`, for one of `CUSTODIANS`."""
    if _works(known, book, clock):
        return known
    return _made(book, clock, name, CUSTODIANS[name], Role.CUSTODIAN)


def _works(token: str | None, book: CredentialBook, clock: Clock) -> TypeGuard[str]:
    credential = None if token is None else book.by_token_hash(hash_token(token))
    return credential is not None and credential.usable(clock.now())


def _made(book: CredentialBook, clock: Clock, name: str, person: str, role: Role) -> str:
    admins = [held for held in _every(book) if held.caller.role is Role.ADMIN]
    oldest = min(admins, key=lambda held: held.created_at, default=None)
    if oldest is None or oldest.caller.person != PERSON:
        raise ConfigurationError(
            "this database was not begun by `sealwright dev`, which leaves it alone: "
            "name another in SEALWRIGHT_DATABASE_URL, or start `sealwright serve`"
        )
    if book.get(name) is not None:
        name = f"{name}-{secrets.token_hex(4)}"
    token, token_hash = new_token()
    caller = Caller(new_id("cred"), name, person, role)
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


def main(directory: Path) -> int:
    try:
        upgrade_database()
        store = Store(Settings.from_environment(need_token=False).database_url)
        try:
            book, clock = store.credentials, SystemClock()
            _keep(directory / "admin", partial(admin_token, book, clock))
            for name in CUSTODIANS:
                _keep(directory / name, partial(custodian_token, book, clock, name))
        finally:
            store.close()
    except ServiceError as error:
        print(error, file=sys.stderr)  # noqa: T201 -- a program's own words
        return 1
    return 0


def _keep(file: Path, token_for: Callable[[str | None], str]) -> None:
    known = file.read_text() if file.exists() else None
    token = token_for(known)
    if token != known:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(token)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
