"""`sealwright explain CODE`: the page of `/problems/{code}`, without the service."""

from __future__ import annotations

import difflib
from dataclasses import asdict
from typing import Any

import click

from service.cli.exits import EXITS
from service.cli.output import as_json, emit, say, table
from service.domain.errors import ServiceError, every_error
from service.domain.meanings import MEANINGS


@click.command()
@click.argument("code", required=False)
@as_json
def explain(code: str | None, *, json_wanted: bool) -> None:
    """Explain the CODE of an error or of a reason in a verdict; without one, list them all."""
    pages = {kind.code: _error(kind) for kind in every_error()}
    pages |= {code: {"code": code, **asdict(meaning)} for code, meaning in MEANINGS.items()}
    if code is None:
        listed = [pages[known] for known in sorted(pages)]
        if json_wanted:
            emit(listed)
        else:
            table([("CODE", "TITLE"), *((page["code"], page["title"]) for page in listed)])
        return
    page = pages.get(code)
    if page is None:
        near = difflib.get_close_matches(code, pages)
        hint = f" Perhaps {', '.join(near)}?" if near else ""
        raise click.UsageError(f"no error and no reason has the code {code!r}.{hint}")
    if json_wanted:
        emit(page)
        return
    say(f"{code}: {page['title']}")
    say(f"cause: {page['cause']}")
    say(f"cure:  {page['cure']}")
    if "exit_code" in page:
        helps = "may help" if page["retryable"] else "does not help"
        say(f"retry: {helps}; exit code {page['exit_code']}")


def _error(kind: type[ServiceError]) -> dict[str, Any]:
    return {
        "code": kind.code,
        "title": kind.title,
        "cause": kind.cause,
        "cure": kind.cure,
        "retryable": kind.retryable,
        "exit_code": EXITS[kind],
    }
