"""`sealwright serve` and `sealwright worker`: the long-running processes (local)."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--roles",
    metavar="ROLE,…",
    help="Of sign, verify, manage and worker, in the place of SEALWRIGHT_ROLES; all by default.",
)
def serve(*, roles: str | None) -> None:
    """Run the API under gunicorn, as SEALWRIGHT_* say."""
    from service.bootstrap.serve import run  # noqa: PLC0415 - `--help` must not pay for it

    run(roles)


@click.command()
def worker() -> None:
    """Deliver attachments until told to stop."""
    from service.bootstrap.worker import run  # noqa: PLC0415 - `--help` must not pay for it

    run()
