"""`sealwright approvals`: look at what others ask for, and decide."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from service.cli import ssh_keygen
from service.cli.output import as_json, emit, say, table
from service.cli.remote import client
from service.domain.approvals import ApprovalState

APPROVAL: Final = "sealwright-approval@sealwright.dev"
REJECTION: Final = "sealwright-rejection@sealwright.dev"
_STATES: Final = click.Choice([state.value for state in ApprovalState])
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def approvals() -> None:
    """Show, approve and reject what others ask for (deciding: role custodian)."""


@approvals.command("list")
@click.option("--state", type=_STATES, help="Only approvals in this state.")
@click.option("--key", help="Only acts on this key, or on a version of it.")
@click.option("--ids", is_flag=True, help="Print nothing but their ids, one a line.")
@as_json
def list_approvals(*, state: str | None, key: str | None, ids: bool, json_wanted: bool) -> None:
    """List approvals, newest first."""
    found = list(client().approvals(state=state, key=key))
    if json_wanted:
        emit(found)
    elif ids:
        for approval in found:
            say(approval["id"])
    else:
        rows = [("ID", "STATE", "ACT", "SUBJECT", "ASKED BY", "MISSING", "UNTIL")]
        rows += [
            (
                a["id"],
                a["state"],
                a["act"],
                a["subject"],
                a["requester"]["person"],
                f"{a['missing']} of {a['needed']}",
                a["expires_at"],
            )
            for a in found
        ]
        table(rows)


@approvals.command("show")
@click.argument("approval_id", metavar="ID")
@as_json
def show_approval(approval_id: str, *, json_wanted: bool) -> None:
    """Show an approval: what is asked, by whom, and who has decided."""
    found = client().approval(approval_id)
    if json_wanted:
        emit(found)
    else:
        say_approval(found)


@approvals.command("document")
@click.argument("approval_id", metavar="ID")
def document(approval_id: str) -> None:
    """Print the exact bytes that an approval is bound to, and that SSH keys sign."""
    click.echo(_document(client().approval(approval_id)), nl=False)


@approvals.command("export")
@click.argument("approval_id", metavar="ID")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def export(approval_id: str, directory: Path) -> None:
    """Write the document, each signature and each public key into DIRECTORY.

    `ssh-keygen -Y verify` checks them there without us.
    """
    found = client().approval(approval_id)
    votes = [*found["approvals"], *([found["rejection"]] if found["rejection"] else [])]
    signed = [vote for vote in votes if vote["signature"] is not None]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "document").write_bytes(_document(found))
    signers = [f"{vote['name']} {vote['ssh_public_key']}\n" for vote in signed]
    (directory / "allowed_signers").write_text("".join(signers), encoding="ascii")
    for vote in signed:
        (directory / f"{vote['name']}.sig").write_text(vote["signature"], encoding="ascii")
    say(f"{directory}: the document and {len(signed)} signatures")


def _decision(
    verb: str, namespace: str, send: Callable[[str, dict[str, Any]], dict[str, Any]], about: str
) -> click.Command:
    """Return the command that decides on an approval."""

    @click.command(verb, help=about)
    @click.argument("approval_id", metavar="ID")
    @click.option("--reason", help="Why; shown to everyone who sees the approval.")
    @click.option("--signature", type=_FILE, help="An SSH signature over the document.")
    @click.option("--ssh-key", type=_FILE, help="Sign the document with this key by ssh-keygen.")
    @as_json
    def command(
        approval_id: str,
        *,
        reason: str | None,
        signature: Path | None,
        ssh_key: Path | None,
        json_wanted: bool,
    ) -> None:
        if signature is not None and ssh_key is not None:
            raise click.UsageError("either --signature or --ssh-key")
        wanted: dict[str, Any] = {} if reason is None else {"reason": reason}
        if signature is not None:
            wanted["signature"] = _text_of(signature)
        if ssh_key is not None:
            found = client().approval(approval_id)
            _check_document(found)
            wanted["signature"] = ssh_keygen.sign(_document(found), ssh_key, namespace=namespace)
        decided = send(approval_id, wanted)
        if json_wanted:
            emit(decided)
        else:
            say_approval(decided)

    return command


approvals.add_command(
    _decision(
        "approve",
        APPROVAL,
        lambda approval_id, wanted: client().approve(approval_id, wanted),
        "Approve what another asked for; the last approval makes it happen (role custodian).",
    )
)
approvals.add_command(
    _decision(
        "reject",
        REJECTION,
        lambda approval_id, wanted: client().reject(approval_id, wanted),
        "Reject what another asked for, which ends it (role custodian).",
    )
)


def say_approval(approval: dict[str, Any]) -> None:
    say(f"{approval['id']}: {approval['state']}")
    say(f"  act: {approval['act']} {approval['subject']}")
    for name, value in approval["arguments"].items():
        if value not in (None, [], False):
            say(f"    {name}: {json.dumps(value)}")
    say(f"  asked by {_who(approval['requester'])} at {approval['created_at']}")
    for vote in approval["approvals"]:
        say(f"  approved by {_vote(vote)}")
    if approval["rejection"] is not None:
        say(f"  rejected by {_vote(approval['rejection'])}")
    if approval["state"] == "pending":
        signed = ", each with an SSH signature" if approval["signed"] else ""
        say(f"  missing: {approval['missing']} of {approval['needed']} people{signed}")
        say(f"  until {approval['expires_at']}")
    if approval["outcome"] is not None:
        for name, value in approval["outcome"].items():
            say(f"  {name}: {json.dumps(value)}")
    if approval["error"] is not None:
        say(f"  why: {approval['error']['detail']} ({approval['error']['code']})")


def _vote(vote: dict[str, Any]) -> str:
    signed = ", signed" if vote["signature"] is not None else ""
    reason = f": {vote['reason']}" if vote["reason"] is not None else ""
    return f"{_who(vote)} at {vote['at']}{signed}{reason}"


def _who(participant: dict[str, Any]) -> str:
    return f"{participant['person']} ({participant['name']}, {participant['role']})"


def _document(approval: dict[str, Any]) -> bytes:
    return base64.b64decode(approval["document"], validate=True)


def _check_document(approval: dict[str, Any]) -> None:
    """Nobody shall sign a document that says something else than what is shown.

    Raises:
        UsageError.
    """
    said = json.loads(_document(approval))
    shown = {
        "approval": approval["id"],
        "act": approval["act"],
        "subject": approval["subject"],
        "arguments": approval["arguments"],
        "needed": approval["needed"],
        "expires_at": approval["expires_at"],
    }
    differing = [name for name, value in shown.items() if said.get(name) != value]
    if differing:
        raise click.UsageError(
            f"the document does not say what the approval shows ({', '.join(differing)}): do not sign"
        )


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} is not an SSH signature") from error
