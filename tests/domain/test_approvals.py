from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from service.domain.acts import Act, ActKind
from service.domain.approvals import (
    Approval,
    ApprovalState,
    Decision,
    Participant,
    Vote,
    request_document,
    same_person,
)
from service.domain.callers import Role

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def who(person: str, role: Role = Role.CUSTODIAN) -> Participant:
    return Participant(f"cred_{person}", person.lower(), person, role)


def asked_for(requester: Participant, *votes: Vote, needed: int = 3) -> Approval:
    act = Act(ActKind.DESTROY, "release/3", {"reason": "end of life"})
    return Approval(
        "apr_1", act, b"", "f", requester, needed, False, ApprovalState.PENDING, NOW, NOW, votes
    )


def yes(by: Participant) -> Vote:
    return Vote(by, Decision.APPROVE, NOW)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Lovelace", "Ada Lovelace", True),
        ("Ada Lovelace", " ada  LOVELACE ", True),
        ("Ada Lovelace", "\uff21da Lovelace", True),
        ("Ada Lovelace", "Ada Lovelac", False),
        ("ada@example.com", "ada@example.org", False),
    ],
)
def test_spelling_makes_no_second_person(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same


def test_a_custodian_who_asks_counts_and_an_admin_who_asks_does_not() -> None:
    assert asked_for(who("Ada")).missing == 2
    assert asked_for(who("Ada", Role.ADMIN)).missing == 3


def test_two_credentials_of_one_person_are_one_voice() -> None:
    ada, again = who("Ada"), Participant("cred_2", "ada-2", "ADA", Role.CUSTODIAN)
    grace = who("Grace")
    assert asked_for(ada, yes(grace), yes(again)).missing == 1
    assert asked_for(ada, yes(grace), yes(who("Edith"))).missing == 0
    assert asked_for(ada, Vote(grace, Decision.REJECT, NOW)).missing == 2


def test_the_document_is_ascii_that_can_be_read_and_holds_the_whole_act() -> None:
    act = Act(ActKind.DESTROY, "release/3", {"reason": "\u202egnp.exe"})
    made = request_document(
        "apr_1",
        act,
        fingerprint="f00",
        requester=who("Ada"),
        needed=2,
        signed=True,
        created_at=NOW,
        expires_at=NOW,
    )
    assert made.isascii()
    assert b"\\u202e" in made
    assert json.loads(made) == {
        "type": "sealwright-approval-request/1",
        "approval": "apr_1",
        "act": "destroy",
        "subject": "release/3",
        "arguments": {"reason": "\u202egnp.exe"},
        "state": "f00",
        "requester": {
            "credential": "cred_Ada",
            "name": "ada",
            "person": "Ada",
            "role": "custodian",
        },
        "needed": 2,
        "signed": True,
        "created_at": "2026-01-02T03:04:05.000Z",
        "expires_at": "2026-01-02T03:04:05.000Z",
    }
