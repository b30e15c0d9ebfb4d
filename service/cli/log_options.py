"""What the commands of `sealwright log` share."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from service.cli.exits import Exit
from service.cli.output import emit, finish, warn

audit_option = click.option("--audit", is_flag=True, help="The log of audit events (role auditor).")
keys_option = click.option(
    "--key",
    "key_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PEM",
    help="The log's public key, from a place that you trust. Repeatable. Without it the service "
    "is asked for its keys.",
)
mirror_option = click.option(
    "--mirror",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep every file of the log here: `log recover --tiles DIR` can put them back.",
)


def refuse(text: str, *, json_wanted: bool) -> NoReturn:
    if json_wanted:
        emit({"error": text})
    else:
        warn(f"NOT verified: {text}")
    finish(Exit.VERDICT_IS_NO)
