"""`sealwright explain CODE`: the page of `/problems/{code}`, without the service."""

from __future__ import annotations

import difflib
from typing import Any

import click

from service.cli.exits import EXITS
from service.cli.output import as_json, emit, say, table
from service.domain.errors import ServiceError, by_code, every_error


@click.command()
@click.argument("code", required=False)
@as_json
def explain(code: str | None, *, json_wanted: bool) -> None:
    """Explain the error CODE; without one, list them all."""
    if code is None:
        kinds = sorted(every_error(), key=lambda kind: kind.code)
        if json_wanted:
            emit([_page(kind) for kind in kinds])
        else:
            table([("CODE", "TITLE"), *((kind.code, kind.title) for kind in kinds)])
        return
    kind = by_code(code)
    if kind is None:
        near = difflib.get_close_matches(code, [kind.code for kind in every_error()])
        hint = f" Perhaps {', '.join(near)}?" if near else ""
        raise click.UsageError(f"no error has the code {code!r}.{hint}")
    if json_wanted:
        emit(_page(kind))
        return
    say(f"{kind.code}: {kind.title}")
    say(f"cause: {kind.cause}")
    say(f"cure:  {kind.cure}")
    say(f"retry: {'may help' if kind.retryable else 'does not help'}; exit code {EXITS[kind]}")


def _page(kind: type[ServiceError]) -> dict[str, Any]:
    return {
        "code": kind.code,
        "title": kind.title,
        "cause": kind.cause,
        "cure": kind.cure,
        "retryable": kind.retryable,
        "exit_code": EXITS[kind],
    }
