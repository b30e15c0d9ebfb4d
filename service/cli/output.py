"""What commands print: people read lines, programs ask for `--json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from service.cli.exits import Exit

as_json = click.option("--json", "json_wanted", is_flag=True, help="Print JSON for programs.")


def say(line: str) -> None:
    click.echo(plain(line))


def warn(line: str) -> None:
    click.echo(plain(line), err=True)


def plain(text: str) -> str:
    """Return `text` without control characters.

    Some of it was written by registries and callers; none of it may steer a terminal.
    """
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def emit(value: Any) -> None:
    """Print one JSON document. ASCII escapes keep control characters out of terminals."""
    click.echo(json.dumps(value, indent=2))


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the heading, and alone it means there is nothing."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip())


def finish(code: Exit) -> NoReturn:
    raise click.exceptions.Exit(code)
