"""Named credentials: made once, shown once, stored as a hash, revoked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.callers import Caller, Credential, Role
from service.domain.clock import Clock
from service.domain.errors import InvalidRequestError, NotFoundError
from service.domain.ids import new_id
from service.domain.keys import parse_name
from service.domain.pages import Page, PageRequest
from service.domain.tokens import new_token
from service.operations.decide import require_action
from service.policy.roles import Action
from service.ports.store import CredentialBook

LOCAL_ACTOR = "local operator"


@dataclass(frozen=True, slots=True)
class Credentials:
    book: CredentialBook
    clock: Clock

    def create(
        self,
        caller: Caller,
        *,
        name: str,
        person: str,
        role: Role,
        repositories: Sequence[str],
        keys: Sequence[str],
        rights: Sequence[str],
        expires_at: datetime | None,
    ) -> tuple[Credential, str]:
        """Return the credential and its token, which is not kept and never shown again.

        Raises:
            ForbiddenError, InvalidRequestError, CredentialExistsError.
        """
        require_action(caller, Action.MANAGE_CREDENTIALS)
        parse_name(name)
        if expires_at is not None and expires_at <= self.clock.now():
            raise InvalidRequestError(
                "expires_at lies in the past", errors={"expires_at": ["past"]}
            )
        made = Caller(
            new_id("cred"),
            name,
            person,
            role,
            tuple(repositories),
            tuple(keys),
            frozenset(rights),
        )
        return self._store(made, actor=caller.name, expires_at=expires_at)

    def create_first(self, name: str, person: str) -> tuple[Credential, str]:
        """Make the first admin, without a caller: only while the store holds none.

        Raises:
            AdminExistsError, CredentialExistsError, InvalidRequestError.
        """
        parse_name(name)
        made = Caller(new_id("cred"), name, person, Role.ADMIN)
        return self._store(made, actor=LOCAL_ACTOR, only_if_no_admin=True)

    def list(self, caller: Caller, page: PageRequest) -> Page[Credential]:
        require_action(caller, Action.MANAGE_CREDENTIALS)
        return self.book.list(page)

    def revoke(self, caller: Caller, name: str) -> Credential:
        """Raises ForbiddenError; NotFoundError if there is no credential of this name."""
        require_action(caller, Action.MANAGE_CREDENTIALS)
        revoked = self.book.revoke(name, actor=caller.name)
        if revoked is None:
            raise NotFoundError(f"there is no credential {name!r}")
        return revoked

    def _store(
        self,
        made: Caller,
        *,
        actor: str,
        expires_at: datetime | None = None,
        only_if_no_admin: bool = False,
    ) -> tuple[Credential, str]:
        token, token_hash = new_token()
        credential = Credential(made, token_hash, self.clock.now(), expires_at)
        self.book.create(credential, actor=actor, only_if_no_admin=only_if_no_admin)
        return credential, token
