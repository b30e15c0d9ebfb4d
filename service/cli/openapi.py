"""`sealwright openapi > openapi.yaml`."""

from __future__ import annotations

from importlib.metadata import version

import click

from service.web.openapi import to_yaml


@click.command()
def openapi() -> None:
    """Print the description of the API as YAML."""
    click.echo(to_yaml(version("sealwright")), nl=False)
