"""The minutes of a key as people read them: values in, values out; the template makes a page of it.

SSH signatures are checked here once more, over the document as it came and against the key that
came with it: whether that key is the person's own is for the reader to know.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from service.cli.approvals import APPROVAL, REJECTION
from service.formats import sshkeys, sshsig

_ELSEWHERE: Final = frozenset(
    {"act", "approval", "arguments", "attributes", "cka_id", "document", "locations", "outcome"}
)
"""Details of events that stand in the versions and approvals already."""
_WORDS: Final = {True: "yes", False: "no", None: "not told"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A vote's signature: `fingerprint` of its key, and `fault` if it does not hold."""

    fingerprint: str | None = None
    fault: str | None = None


@dataclass(slots=True)
class Participant:
    person: str
    credentials: set[str] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    did: list[str] = field(default_factory=list)


def view(minutes: dict[str, Any]) -> dict[str, Any]:
    """Return what the template shows."""
    return {
        "key": minutes["key"],
        "made_at": minutes["made_at"],
        "quorum": minutes["quorum"],
        "versions": [_version(version) for version in minutes["key"]["versions"]],
        "participants": _participants(minutes),
        "approvals": [_approval(approval) for approval in minutes["approvals"]],
        "events": [_event(event) for event in minutes["events"]],
    }


def _version(version: dict[str, Any]) -> dict[str, Any]:
    attributes = version.get("attributes", {})
    return {
        **version,
        "places": [f"{p['token']} ({p['serial']}), {p['state']}" for p in version["locations"]],
        "said": [(name.replace("_", " "), _WORDS[value]) for name, value in attributes.items()],
    }


def _participants(minutes: dict[str, Any]) -> list[Participant]:
    """Return each person once, with everything that the approvals and events say of them."""
    found: dict[str, Participant] = {}
    people: dict[str, str] = {}
    for who in minutes["participants"]:
        participant = found.setdefault(who["person"], Participant(who["person"]))
        participant.credentials.add(who["name"])
        participant.roles.add(who["role"])
        people[who["name"]] = who["person"]
    for approval in minutes["approvals"]:
        act = f"{approval['act']} {approval['subject']}"
        found[approval["requester"]["person"]].did.append(f"asked for {act}")
        votes = [(vote, "approved") for vote in approval["approvals"]]
        if approval["rejection"] is not None:
            votes.append((approval["rejection"], "rejected"))
        for vote, did in votes:
            participant = found[vote["person"]]
            participant.did.append(f"{did} {act}")
            participant.keys.update(_fingerprints(vote))
    for event in minutes["events"]:
        # What was asked for and decided is told above.
        if event["actor"] in people and not event["action"].startswith("approval."):
            said = f"{event['action']} {event['subject']}"
            did_it = found[people[event["actor"]]]
            if said not in did_it.did:
                did_it.did.append(said)
    return list(found.values())


def _fingerprints(vote: dict[str, Any]) -> list[str]:
    if vote["ssh_public_key"] is None:
        return []
    try:
        return [sshkeys.parse_line(vote["ssh_public_key"]).fingerprint]
    except sshkeys.SSHFormatError:
        return []  # its signature is told not to hold, and why


def _approval(approval: dict[str, Any]) -> dict[str, Any]:
    document = base64.b64decode(approval["document"])
    votes = [(vote, "approved", APPROVAL) for vote in approval["approvals"]]
    if approval["rejection"] is not None:
        votes.append((approval["rejection"], "rejected", REJECTION))
    return {
        **approval,
        "said": _details(approval["arguments"]),
        "came_of_it": _details(approval["outcome"] or {}),
        "document_sha256": sha256(document).hexdigest(),
        "document_text": document.decode("ascii", "replace"),
        "votes": [
            {**vote, "decision": decision, "checked": _check(vote, document, namespace)}
            for vote, decision, namespace in votes
        ],
    }


def _check(vote: dict[str, Any], document: bytes, namespace: str) -> Checked | None:
    if vote["signature"] is None:
        return None
    try:
        key = sshkeys.parse_line(vote["ssh_public_key"])
        sshsig.verify(sshsig.parse(vote["signature"]), document, key=key, namespace=namespace)
    except (sshkeys.SSHFormatError, sshsig.SSHSignatureInvalidError) as error:
        return Checked(fault=str(error))
    return Checked(fingerprint=key.fingerprint)


def _event(event: dict[str, Any]) -> dict[str, Any]:
    body = base64.b64decode(event["body"])
    return {
        **event,
        "said": _details(
            {name: v for name, v in event["details"].items() if name not in _ELSEWHERE}
        ),
        "body_sha256": sha256(body).hexdigest(),
    }


def _details(details: dict[str, Any]) -> list[tuple[str, str]]:
    """What is worth a line: neither nothing nor no, and texts without their quotes."""
    return [
        (name.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for name, value in details.items()
        if value not in (None, False, [], {})
    ]
