"""Papers that people print, sign and keep: pages without scripts, fonts or anything from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


def render(template: str, values: dict[str, Any]) -> str:
    """Fill a template of `service/cli/templates`; HTML is escaped, Markdown is not."""
    # Other commands of the same group have no use for it.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("service.cli"),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def hand_out(text: str, output: Path | None) -> None:
    """Print the paper, or write it to a file. Raises UsageError."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
