"""`sealwright keys minutes`: what was done with a key, and who wanted it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from service.cli.output import as_json
from service.cli.papers import hand_out, render
from service.cli.remote import client


@click.command("minutes")
@click.argument("name")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this file."
)
@as_json
def minutes(name: str, *, output: Path | None, json_wanted: bool) -> None:
    """Print the minutes of a key as a page of HTML, or as JSON (roles custodian, auditor).

    Participants, versions with fingerprints and attributes, approvals with their documents and
    signatures, and the numbered events of the audit trail.
    """
    taken = client().minutes(name)
    if json_wanted:
        hand_out(json.dumps(taken, indent=2) + "\n", output)
    else:
        # It checks signatures, and other commands of the same group need no cryptography.
        from service.cli.minutes_page import view  # noqa: PLC0415

        hand_out(render("minutes.html", view(taken)), output)
