"""`sealwright slots`: tokens, for custodians."""

from __future__ import annotations

import click

from service.cli.output import as_json, emit, say, table
from service.cli.remote import client


@click.group()
def slots() -> None:
    """Show slots; retry a refused PIN (role custodian)."""


@slots.command("list")
@as_json
def list_slots(*, json_wanted: bool) -> None:
    """List slots, initialised ones first."""
    found = list(client().slots())
    if json_wanted:
        emit(found)
        return
    rows = [("TOKEN", "STATE", "SERIAL", "MODULE", "DETAIL")]
    rows += [
        (s["token"] or "-", s["state"], s["serial"] or "-", s["module"], s["detail"] or "")
        for s in found
    ]
    table(rows)


@slots.command("login")
@click.argument("token")
@as_json
def login(token: str, *, json_wanted: bool) -> None:
    """Clear a refused PIN of TOKEN, and try it exactly once more."""
    status = client().login(token)
    if json_wanted:
        emit(status)
    else:
        say(f"{status['token']}: {status['state']}")
