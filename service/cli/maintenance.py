"""`sealwright maintenance`: stop signing for a while, in every process."""

from __future__ import annotations

from typing import Any

import click

from service.cli.output import as_json, emit, say
from service.cli.remote import client


@click.group()
def maintenance() -> None:
    """Stop signing for a while, in every process."""


@maintenance.command("show")
@as_json
def show(*, json_wanted: bool) -> None:
    """Show whether signing is stopped."""
    _tell(client().maintenance(), json_wanted=json_wanted)


@maintenance.command("on")
@click.option("--reason", help="Why; callers are told, and it is kept in the audit trail.")
@as_json
def turn_on(*, reason: str | None, json_wanted: bool) -> None:
    """Stop signing; verification goes on (role admin)."""
    _tell(client().turn_maintenance(on=True, reason=reason), json_wanted=json_wanted)


@maintenance.command("off")
@as_json
def turn_off(*, json_wanted: bool) -> None:
    """Let signing go on (role admin)."""
    _tell(client().turn_maintenance(on=False), json_wanted=json_wanted)


def _tell(found: dict[str, Any], *, json_wanted: bool) -> None:
    if json_wanted:
        emit(found)
    elif found["on"]:
        why = f": {found['reason']}" if found["reason"] else ""
        say(f"on since {found['at']}, by {found['actor']}{why}")
    else:
        say("off")
