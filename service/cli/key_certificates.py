"""`sealwright keys csr | import-chain | chain | self-sign`: certificates of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from service.cli.key_text import say_version
from service.cli.output import as_json, emit
from service.cli.pending import show_or_pending
from service.cli.remote import client

_version = click.argument("version", type=click.IntRange(1))


@click.command("csr")
@click.argument("name")
@_version
@click.option(
    "--subject",
    required=True,
    metavar="NAME",
    help='Whom it is for: "CN=release 3,O=Example,ST=Bern,C=CH". notation needs O, ST and C.',
)
@as_json
def csr(name: str, version: int, *, subject: str, json_wanted: bool) -> None:
    """Print a PKCS#10 request for VERSION, signed in the HSM (role custodian)."""
    made = client().request_certificate(name, version, subject)
    if json_wanted:
        emit(made)
    else:
        click.echo(made["csr"], nl=False)


@click.command("import-chain")
@click.argument("name")
@_version
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@as_json
def import_chain(name: str, version: int, files: tuple[Path, ...], *, json_wanted: bool) -> None:
    """Give VERSION the chain that a CA issued for it: PEM, leaf first (role custodian)."""
    try:
        texts = [file.read_text(encoding="utf-8") for file in files]
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"not readable as PEM: {error}") from error
    imported = client().import_chain(name, version, texts)
    show_or_pending(imported, say_version, json_wanted=json_wanted)


@click.command("chain")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="This version instead of the active one.")
def chain(name: str, *, version: int | None) -> None:
    """Print the certificate chain, leaf first (public)."""
    click.echo(client().certificate_chain(name, version), nl=False)


@click.command("self-sign")
@click.argument("name")
@click.option("--version", type=click.IntRange(1), help="This version instead of the active one.")
@click.option("--country", metavar="CC", help="Two letters; needed for the first certificate.")
@click.option("--state", help="State or province; needed for the first certificate.")
@click.option("--organization", help="Needed for the first certificate.")
@click.option(
    "--days", type=click.IntRange(1), help="How long it is valid; three years if left out."
)
@click.option("--lone", is_flag=True, help="One certificate that the key signs itself; no CA.")
@click.option("--token", help="Where the CA's key is made, if it is not yet.")
@as_json
def self_sign(
    name: str,
    *,
    version: int | None,
    country: str | None,
    state: str | None,
    organization: str | None,
    days: int | None,
    lone: bool,
    token: str | None,
    json_wanted: bool,
) -> None:
    """Certify a key by a small CA of Sealwright's own, for those who have none.

    Nobody else vouches for it, and its certificates say so. Role custodian.
    """
    given: dict[str, Any] = {
        "version": version,
        "country": country,
        "state": state,
        "organization": organization,
        "days": days,
        "lone": lone or None,
        "token": token,
    }
    wanted = {field: value for field, value in given.items() if value is not None}
    show_or_pending(client().self_sign(name, wanted), say_version, json_wanted=json_wanted)


COMMANDS: Final[tuple[click.Command, ...]] = (csr, import_chain, chain, self_sign)
