"""Waiting for jobs, and what is said of one that has not ended well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from service.cli.exits import Exit, exit_for
from service.cli.output import emit, finish, say, warn

POLL_SECONDS: Final = 1.0  # a part of a job takes about so long
UNFINISHED: Final = frozenset({"queued", "running"})


def job_at(
    look: Callable[[str], dict[str, Any]], job: dict[str, Any], deadline: float | None
) -> dict[str, Any]:
    """Return the job once it has ended, or as it is when the time is up (None: at once)."""
    while job["state"] in UNFINISHED and deadline is not None and time.monotonic() < deadline:
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        job = look(job["id"])
    return job


def show_unfinished(job: dict[str, Any], *, json_wanted: bool, waited: bool) -> NoReturn:
    """Print a job without results, and end: 4 where it was waited for, else 0; or as it failed."""
    if json_wanted:
        emit(job)
    error = job["error"]
    if error is not None:
        if not json_wanted:
            warn(f"failed  {job['id']}: {error['detail']} ({error['code']})")
        finish(exit_for(error["code"], retryable=error["retryable"]))
    if not json_wanted:
        progress = job["progress"]
        say(f"{job['state']}  {job['id']}: {progress['done']} of {progress['total']}")
    finish(Exit.UNAVAILABLE if waited else Exit.DONE)
