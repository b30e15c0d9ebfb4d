"""Who calls: credentials, their roles, and what they cover."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

SIGN_PAYLOAD: Final = "sign-payload"
"""The right to have payloads signed that name no repository, with the keys of the credential."""


class Role(StrEnum):
    """Exactly one a credential; each allows what docs/api.md lists for it, and nothing else."""

    BUILDER = "builder"
    CUSTODIAN = "custodian"
    AUDITOR = "auditor"
    VERIFIER = "verifier"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: what every decision about a request is made from.

    `repositories` are patterns (`service.policy.patterns`) matched against `host/path`;
    `keys` are names, or `*`. Empty means none, not all. `person` is who stands behind the
    credential: approvals count people, not credentials.
    """

    credential_id: str
    name: str
    person: str
    role: Role
    repositories: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Credential:
    """A stored credential. The token itself is never stored: only `token_hash` is.

    `ssh_public_key` is one line of OpenSSH (`ssh-ed25519 AAAA…`), whose private half is the
    person's own: approvals may be signed by it.
    """

    caller: Caller
    token_hash: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    ssh_public_key: str | None = None

    def usable(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
