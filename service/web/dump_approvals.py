"""Approvals as JSON values."""

from __future__ import annotations

from base64 import b64encode

from service.domain.approvals import Approval, Participant, Vote
from service.domain.clock import rfc3339
from service.web.dump import JSONObject


def approval(found: Approval) -> JSONObject:
    rejection = found.rejection
    return {
        "id": found.id,
        "state": found.state,
        "act": found.act.kind,
        "subject": found.act.subject,
        "arguments": dict(found.act.arguments),
        "requester": participant(found.requester),
        "needed": found.needed,
        "missing": found.missing,
        "signed": found.signed,
        "approvals": [_vote(vote) for vote in found.approvals],
        "rejection": None if rejection is None else _vote(rejection),
        "created_at": rfc3339(found.created_at),
        "expires_at": rfc3339(found.expires_at),
        "ended_at": None if found.ended_at is None else rfc3339(found.ended_at),
        "document": b64encode(found.document).decode(),
        "outcome": None if found.outcome is None else dict(found.outcome),
        "error": None
        if found.error_code is None
        else {"code": found.error_code, "detail": found.error_detail},
    }


def participant(who: Participant) -> JSONObject:
    return {"name": who.name, "person": who.person, "role": who.role}


def _vote(vote: Vote) -> JSONObject:
    return {
        **participant(vote.by),
        "at": rfc3339(vote.at),
        "reason": vote.reason,
        "signature": vote.signature,
        "ssh_public_key": vote.ssh_public_key,
    }
