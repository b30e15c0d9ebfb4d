"""Custodians' credentials as acts: whoever could make one alone would be a quorum alone.

The token is made when the credential is asked for, and only its hash goes into the act: no
approver ever sees the token, and it works from the moment the last one has approved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

from service.domain.acts import Act, ActKind, Performed
from service.domain.approvals import same_person
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import Clock, rfc3339
from service.domain.errors import CredentialExistsError, InvalidRequestError, NotFoundError
from service.formats.sshkeys import SSHFormatError, parse_line
from service.operations.quorum import FIRST_KEY
from service.ports.store import CredentialBook

CREATE: Final = "create"
CHANGE: Final = "change"


def creation_act(wanted: Credential) -> Act:
    """Return the act that makes this custodian's credential.

    Raises:
        InvalidRequestError: the SSH key is none.
    """
    caller = wanted.caller
    arguments = {
        "change": CREATE,
        "id": caller.credential_id,
        "repositories": list(caller.repositories),
        "keys": list(caller.keys),
        "rights": sorted(caller.rights),
        "token_hash": wanted.token_hash,
        **_changeable(_with_canonical_key(wanted)),
    }
    return Act(ActKind.CREDENTIAL, caller.name, arguments)


def change_act(held: Credential, wanted: Credential) -> Act:
    """Return the act that makes `wanted` of the credential `held`.

    Raises:
        InvalidRequestError: the SSH key is none.
    """
    wanted = _with_canonical_key(wanted)
    only_key = replace(held, ssh_public_key=wanted.ssh_public_key) == wanted
    first_key = held.ssh_public_key is None and wanted.ssh_public_key is not None and only_key
    arguments = {
        "change": CHANGE,
        "id": held.caller.credential_id,
        FIRST_KEY: first_key,
        **_changeable(wanted),
    }
    return Act(ActKind.CREDENTIAL, held.caller.name, arguments)


@dataclass(frozen=True, slots=True)
class CustodianCredentials:
    """Performs `credential`."""

    book: CredentialBook
    clock: Clock

    def check(self, act: Act) -> str:
        held = self.book.get(act.subject)
        wanted = self._wanted(act, held)
        if wanted.expires_at is not None and wanted.expires_at <= self.clock.now():
            raise InvalidRequestError(
                "expires_at lies in the past", errors={"expires_at": ["past"]}
            )
        _check_key_is_of_one_person(wanted, self.book.custodians())
        state = None if held is None else {**_changeable(held), "revoked": _is_revoked(held)}
        return sha256(json.dumps([act.subject, state], sort_keys=True).encode()).hexdigest()

    def perform(self, act: Act, *, actor: str) -> Performed:
        wanted = self._wanted(act, self.book.get(act.subject))
        if act.arguments["change"] == CREATE:
            self.book.create(wanted, actor=actor, only_if_no_admin=False)
        else:
            self.book.change(wanted, actor=actor)
        caller = wanted.caller
        return Performed(wanted, {"credential": caller.credential_id, "person": caller.person})

    def _wanted(self, act: Act, held: Credential | None) -> Credential:
        """Return the credential as it is to be.

        Raises:
            CredentialExistsError: one of this name is there that should not be.
            NotFoundError: one that should be there is not, or is revoked.
        """
        values = act.arguments
        expires_at = _moment(values["expires_at"])
        key = _text(values["ssh_public_key"])
        if values["change"] == CREATE:
            if held is not None:
                raise CredentialExistsError(f"there is a credential {act.subject}")
            made = Caller(
                str(values["id"]),
                act.subject,
                str(values["person"]),
                Role.CUSTODIAN,
                _texts(values["repositories"]),
                _texts(values["keys"]),
                frozenset(_texts(values["rights"])),
            )
            return Credential(
                made, str(values["token_hash"]), self.clock.now(), expires_at, ssh_public_key=key
            )
        if held is None or _is_revoked(held) or held.caller.credential_id != values["id"]:
            raise NotFoundError(f"there is no credential {act.subject!r} that could be changed")
        caller = replace(held.caller, person=str(values["person"]))
        return replace(held, caller=caller, expires_at=expires_at, ssh_public_key=key)


def _changeable(credential: Credential) -> dict[str, object]:
    expires_at = credential.expires_at
    return {
        "person": credential.caller.person,
        "expires_at": None if expires_at is None else rfc3339(expires_at),
        "ssh_public_key": credential.ssh_public_key,
    }


def _with_canonical_key(credential: Credential) -> Credential:
    if credential.ssh_public_key is None:
        return credential
    try:
        line = parse_line(credential.ssh_public_key).line
    except SSHFormatError as error:
        raise InvalidRequestError(
            f"not an SSH public key: {error}", errors={"ssh_public_key": [str(error)]}
        ) from error
    return replace(credential, ssh_public_key=line)


def _check_key_is_of_one_person(wanted: Credential, custodians: Iterable[Credential]) -> None:
    """Raises InvalidRequestError: two people who share a key could sign for each other."""
    if wanted.ssh_public_key is None:
        return
    for other in custodians:
        if other.ssh_public_key == wanted.ssh_public_key and not same_person(
            other.caller.person, wanted.caller.person
        ):
            raise InvalidRequestError(
                f"the SSH key is that of {other.caller.person}",
                errors={"ssh_public_key": ["belongs to another person"]},
            )


def _is_revoked(credential: Credential) -> bool:
    return credential.revoked_at is not None


def _moment(value: object) -> datetime | None:
    return None if value is None else datetime.fromisoformat(str(value))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()
