"""Approvals: what several people must want before it is done.

A quorum of N counts people, not credentials: two credentials of one person are one voice. The
requester is one of the N where the request came with a custodian's credential, and never
approves: neither with that credential nor with another of the same person.

`document` is what an approval is bound to, and what custodians may sign: ASCII JSON, sorted
and indented to be read, stored and handed out as the exact bytes that were made at the request.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.domain.acts import Act
from service.domain.callers import Caller, Credential, Role
from service.domain.clock import rfc3339

DOCUMENT_TYPE: Final = "sealwright-approval-request/1"


class ApprovalState(StrEnum):
    """`pending` leads to each of the others; `executing` to `executed` or `failed`."""

    PENDING = "pending"
    EXECUTING = "executing"
    EXECUTED = "executed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    FAILED = "failed"


class Decision(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


def same_person(one: str, other: str) -> bool:
    """Whether two names of people name one: case, width and spacing tell nobody apart."""
    return person_key(one) == person_key(other)


def person_key(person: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", person).casefold().split())


@dataclass(frozen=True, slots=True)
class Participant:
    """Somebody at the moment of asking or voting; credentials may change later."""

    credential_id: str
    name: str
    person: str
    role: Role

    @classmethod
    def of(cls, caller: Caller) -> Participant:
        return cls(caller.credential_id, caller.name, caller.person, caller.role)


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer. `signature` is an armored SSH signature over the document, checked
    against `ssh_public_key` when it was given.
    """

    by: Participant
    decision: Decision
    at: datetime
    reason: str | None = None
    signature: str | None = None
    ssh_public_key: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A request for an act, and what became of it.

    `fingerprint` is that of the state that the act depends on, when it was asked for.
    `signed` demands a signature with each approval. `outcome` are the facts that the act led
    to, `error_code` and `error_detail` tell why it was not done.
    """

    id: str
    act: Act
    document: bytes
    fingerprint: str
    requester: Participant
    needed: int
    signed: bool
    state: ApprovalState
    created_at: datetime
    expires_at: datetime
    votes: tuple[Vote, ...] = ()
    ended_at: datetime | None = None
    outcome: Mapping[str, object] | None = None
    error_code: str | None = None
    error_detail: str | None = None

    @property
    def approvals(self) -> tuple[Vote, ...]:
        return tuple(v for v in self.votes if v.decision is Decision.APPROVE)

    @property
    def rejection(self) -> Vote | None:
        return next((v for v in self.votes if v.decision is Decision.REJECT), None)

    @property
    def voices(self) -> tuple[Participant, ...]:
        """Those who count for the quorum: a custodian who asked, and everyone who approved."""
        asked = (self.requester,) if self.requester.role is Role.CUSTODIAN else ()
        return (*asked, *(vote.by for vote in self.approvals))

    @property
    def missing(self) -> int:
        """How many people are still needed."""
        return max(0, self.needed - len({person_key(voice.person) for voice in self.voices}))


def objection(approval: Approval, holders: Mapping[str, Credential], now: datetime) -> str | None:
    """Return why somebody who asked or approved does not count any more; None if all do.

    `holders` are the credentials as they are now, by id. The requester's counts whoever it is:
    what a revoked admin wanted is not done either.
    """
    for who in (approval.requester, *(vote.by for vote in approval.approvals)):
        held = holders.get(who.credential_id)
        if held is None or not held.usable(now):
            return f"the credential {who.name} ({who.person}) is not valid any more"
        if held.caller.role is not who.role or not same_person(held.caller.person, who.person):
            return f"the credential {who.name} has another role or person than it had"
    return None


def request_document(
    approval_id: str,
    act: Act,
    *,
    fingerprint: str,
    requester: Participant,
    needed: int,
    signed: bool,
    created_at: datetime,
    expires_at: datetime,
) -> bytes:
    """Return the exact bytes that stand for this request from now on."""
    content = {
        "type": DOCUMENT_TYPE,
        "approval": approval_id,
        "act": act.kind.value,
        "subject": act.subject,
        "arguments": dict(act.arguments),
        "state": fingerprint,
        "requester": {
            "credential": requester.credential_id,
            "name": requester.name,
            "person": requester.person,
            "role": requester.role.value,
        },
        "needed": needed,
        "signed": signed,
        "created_at": rfc3339(created_at),
        "expires_at": rfc3339(expires_at),
    }
    # ASCII, because what is signed must not look like something else on a terminal.
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=True) + "\n").encode()
