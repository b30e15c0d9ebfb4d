"""`sealwright intents`: what was about to be signed when its process died."""

from __future__ import annotations

import click

from service.cli.output import as_json, emit, say, table
from service.cli.remote import client


@click.group()
def intents() -> None:
    """Show what was about to be signed and has no outcome."""


@intents.command("list")
@click.option("--repository", metavar="HOST/PATH", help="Only those for this repository.")
@click.option("--digest", help="Only those for this image.")
@click.option("--key", help="Only those for this key.")
@click.option("--since", metavar="TIME", help="Only those made at this time or later (RFC 3339).")
@as_json
def list_intents(
    *,
    repository: str | None,
    digest: str | None,
    key: str | None,
    since: str | None,
    json_wanted: bool,
) -> None:
    """List intents that have no outcome; builders see those of their own repositories."""
    found = list(
        client().signatures(
            state="outcome-unknown", repository=repository, digest=digest, key=key, since=since
        )
    )
    if json_wanted:
        emit(found)
        return
    rows = [("ID", "MADE", "FORMAT", "KEY", "CALLER", "IMAGE")]
    rows += [
        (
            intent["id"],
            intent["created_at"],
            intent["format"],
            f"{intent['key']} v{intent['key_version']}",
            intent["caller"],
            f"{intent['repository'] or '(none named)'}@{intent['digest']}",
        )
        for intent in found
    ]
    table(rows)
    if found:
        say("no signature of these has left; none is signed again by itself, callers' retries are")
