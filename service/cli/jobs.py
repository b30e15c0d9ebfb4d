"""`sealwright jobs`: what is done later."""

from __future__ import annotations

import time
from typing import Final

import click

from service.cli.awaiting import job_at, show_unfinished
from service.cli.output import as_json
from service.cli.reissue import show_reissue
from service.cli.remote import client
from service.cli.results import show_results
from service.cli.types import Duration

REISSUE: Final = "rei_"
"""How the ids of such jobs begin."""


@click.group()
def jobs() -> None:
    """Show what is done later."""


@jobs.command("show")
@click.argument("job")
@click.option("--wait", type=Duration(), help="Wait so long for its end, as in 30s or 5m.")
@as_json
def show(job: str, *, wait: float | None, json_wanted: bool) -> None:
    """Show how far a JOB is, or what it came to."""
    service = client()
    deadline = None if wait is None else time.monotonic() + wait
    if job.startswith(REISSUE):
        reissued = job_at(service.reissue_job, service.reissue_job(job), deadline)
        show_reissue(reissued, json_wanted=json_wanted, waited=wait is not None)
    found = job_at(service.signing_job, service.signing_job(job), deadline)
    if "results" not in found:
        show_unfinished(found, json_wanted=json_wanted, waited=wait is not None)
    show_results(found, done="signed", json_wanted=json_wanted, waited=False)
