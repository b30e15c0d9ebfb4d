"""Named credentials: made once, shown once, stored as a hash, revoked at once.

Those of custodians guard the quorum, so making or changing one is an act that may need
approvals (`service.operations.custodians`). Revoking one never does: what is stolen must stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from service.domain.acts import Performed
from service.domain.approvals import Approval
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import Clock
from service.domain.errors import InvalidRequestError, NotFoundError
from service.domain.ids import new_id
from service.domain.keys import parse_name
from service.domain.pages import Page, PageRequest
from service.domain.tokens import new_token
from service.operations.acts import Acts
from service.operations.custodians import change_act, creation_act
from service.operations.decide import require_action
from service.policy.roles import Action
from service.ports.store import CredentialBook

LOCAL_ACTOR = "local operator"


@dataclass(frozen=True, slots=True)
class CredentialChange:
    """What is to be different; a field that is not in `fields` stays as it is."""

    fields: frozenset[str]
    person: str | None = None
    expires_at: datetime | None = None
    ssh_public_key: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    book: CredentialBook
    acts: Acts
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
        ssh_public_key: str | None = None,
    ) -> tuple[Performed | Approval, str]:
        """Return the credential and its token, which is not kept and never shown again.

        The token of one that waits for approvals works from the moment it has them.

        Raises:
            ForbiddenError, InvalidRequestError, CredentialExistsError.
        """
        require_action(caller, Action.MANAGE_CREDENTIALS)
        parse_name(name)
        self._check_expiry(expires_at)
        made = Caller(
            new_id("cred"),
            name,
            person,
            role,
            tuple(repositories),
            tuple(keys),
            frozenset(rights),
        )
        token, token_hash = new_token()
        credential = Credential(
            made, token_hash, self.clock.now(), expires_at, ssh_public_key=ssh_public_key
        )
        if role is Role.CUSTODIAN:
            return self.acts.request(caller, creation_act(credential)), token
        _check_key_is_of_use(role, ssh_public_key)
        self.book.create(credential, actor=caller.name, only_if_no_admin=False)
        return Performed(credential), token

    def change(self, caller: Caller, name: str, change: CredentialChange) -> Performed | Approval:
        """Give a credential another person, expiry or SSH key.

        Raises:
            ForbiddenError, InvalidRequestError.
            NotFoundError: there is no such credential, or it is revoked.
        """
        require_action(caller, Action.MANAGE_CREDENTIALS)
        held = self.book.get(name)
        if held is None or held.revoked_at is not None:
            raise NotFoundError(f"there is no credential {name!r} that could be changed")
        changed = held
        if "person" in change.fields and change.person is not None:
            changed = replace(changed, caller=replace(held.caller, person=change.person))
        if "expires_at" in change.fields:
            self._check_expiry(change.expires_at)
            changed = replace(changed, expires_at=change.expires_at)
        if "ssh_public_key" in change.fields:
            changed = replace(changed, ssh_public_key=change.ssh_public_key)
        if held.caller.role is Role.CUSTODIAN:
            return self.acts.request(caller, change_act(held, changed))
        _check_key_is_of_use(held.caller.role, changed.ssh_public_key)
        self.book.change(changed, actor=caller.name)
        return Performed(changed)

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

    def _check_expiry(self, expires_at: datetime | None) -> None:
        if expires_at is not None and expires_at <= self.clock.now():
            raise InvalidRequestError(
                "expires_at lies in the past", errors={"expires_at": ["past"]}
            )


def make_first_admin(
    book: CredentialBook, clock: Clock, *, name: str, person: str
) -> tuple[Credential, str]:
    """Make the first admin, without a caller: only while the store holds none.

    Raises:
        AdminExistsError, CredentialExistsError, InvalidRequestError.
    """
    parse_name(name)
    token, token_hash = new_token()
    made = Caller(new_id("cred"), name, person, Role.ADMIN)
    credential = Credential(made, token_hash, clock.now())
    book.create(credential, actor=LOCAL_ACTOR, only_if_no_admin=True)
    return credential, token


def _check_key_is_of_use(role: Role, ssh_public_key: str | None) -> None:
    if ssh_public_key is not None:
        raise InvalidRequestError(
            f"the role {role} approves nothing, so it has no SSH key",
            errors={"ssh_public_key": ["for custodians only"]},
        )
