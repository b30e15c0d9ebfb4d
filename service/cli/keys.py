"""`sealwright keys`."""

from __future__ import annotations

from typing import Any, Final

import click

from service.cli.ceremony import ceremony
from service.cli.key_certificates import COMMANDS as CERTIFICATES
from service.cli.key_life import COMMANDS
from service.cli.key_text import say_key
from service.cli.minutes import minutes
from service.cli.output import as_json, emit, table
from service.cli.reissue import reissue
from service.cli.remote import client
from service.domain.keys import Purpose

PEM: Final = "application/x-pem-file"
_PURPOSES: Final = click.Choice([purpose.value for purpose in Purpose])
JWK: Final = "application/jwk+json"


@click.group()
def keys() -> None:
    """List and show keys; make, rotate, move, adopt and certify them; hold ceremonies."""


for _command in (*COMMANDS, *CERTIFICATES, reissue, ceremony, minutes):
    keys.add_command(_command)


@keys.command("list")
@click.option("--purpose", type=_PURPOSES, help="Only keys of this purpose.")
@as_json
def list_keys(*, purpose: str | None, json_wanted: bool) -> None:
    """List keys (public)."""
    service = client()
    found = list(service.keys(purpose))
    if purpose is None:
        # Nothing is signed with it, but whoever looks at all keys shall see that it is there.
        found += service.keys(Purpose.CA.value)
    if json_wanted:
        emit(found)
        return
    rows = [("NAME", "PURPOSE", "ALGORITHM", "VERSIONS")]
    rows += [(k["name"], k["purpose"], k["algorithm"], _versions(k)) for k in found]
    table(rows)


def _versions(key: dict[str, Any]) -> str:
    return ", ".join(f"{v['version']} {v['state']}" for v in key["versions"])


@keys.command("show")
@click.argument("name")
@as_json
def show_key(name: str, *, json_wanted: bool) -> None:
    """Show a key and its versions (public)."""
    found = client().key(name)
    if json_wanted:
        emit(found)
        return
    say_key(found)


@keys.command("public-key")
@click.argument("name")
@click.option("--jwk", is_flag=True, help="As JWK instead of PEM.")
@click.option("--all", "every", is_flag=True, help="Every version that still counts.")
@click.option("--version", type=click.IntRange(1), help="This version instead of the active one.")
def public_key(name: str, *, jwk: bool, every: bool, version: int | None) -> None:
    """Print the public key (public)."""
    if every and version is not None:
        raise click.UsageError("either --all or --version")
    accept = JWK if jwk else PEM
    text = client().public_key(name, accept=accept, version=version, every=every)
    click.echo(text, nl=not text.endswith("\n"))
