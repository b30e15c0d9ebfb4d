"""`sealwright policy`: the quorum rules in force, and the way to looser ones."""

from __future__ import annotations

from typing import Any

import click

from service.cli.output import as_json, emit, say, table
from service.cli.pending import show_or_pending
from service.cli.remote import client


@click.group()
def policy() -> None:
    """Show the quorum rules; ask for looser ones."""


@policy.command("show")
@as_json
def show(*, json_wanted: bool) -> None:
    """Show the quorum rules in force and those of the policy file."""
    found = client().quorum()
    if json_wanted:
        emit(found)
        return
    in_force, file = found["in_force"], found["file"]
    acts = sorted({*in_force["people"], *file["people"]})
    rows = [("ACT", "IN FORCE", "FILE")]
    rows += [(a, str(in_force["people"].get(a, 1)), str(file["people"].get(a, 1))) for a in acts]
    rows += [("signed", _yes(in_force["signed"]), _yes(file["signed"]))]
    table(rows)
    say(
        f"requests wait {in_force['expires_hours']} hours; custodians: {found['custodians']} people"
    )
    if found["guard"]:
        say(f"custodians' credentials and looser rules need {found['guard']} people")
    for point in found["looser"]:
        say(f"the file is looser, which has no effect: {point}")
    if found["looser"]:
        say("  to put it in force: sealwright policy loosen")
    if found["short"]:
        say("there are fewer custodians than a rule needs: what it guards cannot be done")
    elif found["without_spare"]:
        say("there are just as many custodians as a rule needs: make one more before one is lost")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@policy.command("loosen")
@as_json
def loosen(*, json_wanted: bool) -> None:
    """Ask for the policy file's rules where they are looser (roles custodian, admin)."""
    show_or_pending(client().loosen_quorum(), _say_in_force, json_wanted=json_wanted)


def _say_in_force(rules: dict[str, Any]) -> None:
    people = ", ".join(f"{act} {number}" for act, number in sorted(rules["people"].items()))
    say(f"in force: {people or 'one person for everything'}")
