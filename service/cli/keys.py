"""`sealwright keys`."""

from __future__ import annotations

from typing import Any, Final

import click

from service.cli.output import as_json, emit, say, table
from service.cli.remote import client
from service.domain.keys import Algorithm, Purpose

_PURPOSES: Final = click.Choice([purpose.value for purpose in Purpose])
_ALGORITHMS: Final = click.Choice([algorithm.value for algorithm in Algorithm])
PEM: Final = "application/x-pem-file"
JWK: Final = "application/jwk+json"


@click.group()
def keys() -> None:
    """List, show and make keys."""


@keys.command("list")
@click.option("--purpose", type=_PURPOSES, help="Only keys of this purpose.")
@as_json
def list_keys(*, purpose: str | None, json_wanted: bool) -> None:
    """List keys (public)."""
    found = list(client().keys(purpose))
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
    _show(found)


def _show(key: dict[str, Any]) -> None:
    say(f"{key['name']}: {key['purpose']} key, {key['algorithm']}, made {key['created_at']}")
    for version in key["versions"]:
        say(f"  version {version['version']}: {version['state']}, sha256 {version['fingerprint']}")
        for place in version.get("locations", ()):
            say(f"    on token {place['token']} ({place['serial']}): {place['state']}")


@keys.command("create")
@click.argument("name")
@click.option("--purpose", type=_PURPOSES, default=Purpose.IMAGE.value, show_default=True)
@click.option("--algorithm", type=_ALGORITHMS, default=Algorithm.EC_P256.value, show_default=True)
@click.option("--token", help="Label of the token; optional where one is configured.")
@as_json
def create_key(
    name: str, *, purpose: str, algorithm: str, token: str | None, json_wanted: bool
) -> None:
    """Make a key on a token (role custodian)."""
    made = client().create_key(name, purpose, algorithm=algorithm, token=token)
    if json_wanted:
        emit(made)
        return
    _show(made)


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
