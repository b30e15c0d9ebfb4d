"""`sealwright trust`: what consumers need to verify with their own tools."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.output import say
from service.cli.remote import client
from service.cli.trust_directory import write


@click.group()
def trust() -> None:
    """Files for cosign, notation, skopeo, podman, Kyverno and others (public)."""


@trust.command("export")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--url", help="The service, as consumers reach it, instead of SEALWRIGHT_URL.")
@click.option("--key", help="This key instead of every key of purpose image.")
def export(directory: Path, *, url: str | None, key: str | None) -> None:
    """Write all of them into DIR, ready to use without an edit.

    DIR is made, or holds an earlier export, which is brought up to date: what is no longer
    trusted is taken away. Needs no credential.
    """
    files = client(url).trust_files(key)
    write(directory, files)
    say(f"{len(files)} files in {directory}; README.md there has the command for each tool")
