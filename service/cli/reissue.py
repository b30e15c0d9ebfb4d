"""`sealwright keys reissue`: what stands, signed again under another version of its key."""

from __future__ import annotations

import time
from typing import Any, Final, NoReturn

import click

from service.cli.awaiting import UNFINISHED, job_at, show_unfinished
from service.cli.exits import Exit
from service.cli.output import as_json, emit, finish, say, warn
from service.cli.remote import client
from service.cli.types import Duration

_COUNTS: Final = ("reissued", "already", "gone", "failed")
_TROUBLE: Final = ("failed", "forged", "unseen")


@click.command("reissue")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@click.option("--dry-run", is_flag=True, help="Sign nothing; tell what would be done.")
@click.option("--wait", type=Duration(), help="Wait so long for its end, as in 30s or 2h.")
@as_json
def reissue(
    name: str, version: int, *, dry_run: bool, wait: float | None, json_wanted: bool
) -> None:
    """Sign again under VERSION what stands by other versions of the key (role custodian).

    It is done as a job, which `sealwright jobs show` looks at. Exit code 1: signatures by the key
    were found that no record of ours holds, or images could not be signed again.
    """
    service = client()
    deadline = None if wait is None else time.monotonic() + wait
    job = job_at(service.reissue_job, service.reissue(name, version, dry_run=dry_run), deadline)
    show_reissue(job, json_wanted=json_wanted, waited=wait is not None)


def show_reissue(job: dict[str, Any], *, json_wanted: bool, waited: bool) -> NoReturn:
    """Print how far a reissue is, or what it came to, and end with the exit code for it."""
    if job["state"] in UNFINISHED or job["error"] is not None:
        show_unfinished(job, json_wanted=json_wanted, waited=waited)
    if json_wanted:
        emit(job)
    else:
        _tell(job)
    counts = job["counts"]
    finish(Exit.VERDICT_IS_NO if any(counts[name] for name in _TROUBLE) else Exit.DONE)


def _tell(job: dict[str, Any]) -> None:
    counts = job["counts"]
    what = "would be signed" if job["dry_run"] else "signed"
    told = ", ".join(f"{counts[name]} {name}" for name in _COUNTS)
    say(f"{what} again under {job['key']} v{job['version']}: {told}")
    for one in job["failures"]:
        warn(f"failed  {one['reference']}: {one['detail']} ({one['code']})")
    for one in job["forged"]:
        warn(f"forged  {one['reference']} as {one['format']} by {job['key']} v{one['version']}")
