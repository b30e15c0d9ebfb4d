"""`sealwright sign`: `POST /v1/signatures`, and waiting for what it ordered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

import click

from service.cli.awaiting import job_at, show_unfinished
from service.cli.exits import Exit, exit_for, worst
from service.cli.output import as_json, emit, finish, say, warn
from service.cli.remote import client
from service.cli.types import Duration, Pair
from service.client import SealwrightClient

POLL_SECONDS: Final = 0.5  # a delivery takes some tenths of a second


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--key", help="Which key signs; optional where policy leaves one choice.")
@click.option("--format", "formats", multiple=True, help="Signature format; may be repeated.")
@click.option(
    "--annotation", "annotations", multiple=True, type=Pair(), help="Signed; may be repeated."
)
@click.option("--id", "ids", multiple=True, help="Your name for an image, one for each IMAGE.")
@click.option("--recursive", is_flag=True, help="Sign an index and every manifest in it.")
@click.option("--no-attach", is_flag=True, help="Do not attach; --json shows what to push.")
@click.option("--force", is_flag=True, help="Sign anew even where a signature stands.")
@click.option("--wait", type=Duration(), help="Wait so long for attachments, as in 30s or 5m.")
@click.option("--async", "later", is_flag=True, help="Have it done later, as a job.")
@click.option("--idempotency-key", help="Name of the request; made up if left out.")
@as_json
def sign(
    images: tuple[str, ...],
    *,
    key: str | None,
    formats: tuple[str, ...],
    annotations: tuple[tuple[str, str], ...],
    ids: tuple[str, ...],
    recursive: bool,
    no_attach: bool,
    force: bool,
    wait: float | None,
    later: bool,
    idempotency_key: str | None,
    json_wanted: bool,
) -> None:
    """Sign each IMAGE: host/repository[:tag]@sha256:digest.

    A failed image does not stop the others; the exit code tells of the worst. With --async the
    service answers with a job, which `sealwright jobs show` looks at; with --wait too, this
    command waits so long for the job and its attachments.
    """
    if ids and len(ids) != len(images):
        raise click.UsageError("give --id once for each IMAGE, or not at all")
    request: dict[str, Any] = {
        "images": [{"reference": image} for image in images],
        "recursive": recursive,
        "attach": not no_attach,
        "force": force,
        "annotations": dict(annotations),
    }
    for item, item_id in zip(request["images"], ids, strict=False):
        item["id"] = item_id
    if key is not None:
        request["key"] = key
    if formats:
        request["formats"] = list(formats)
    service = client()
    deadline = None if wait is None else time.monotonic() + wait
    if later:
        job = service.submit_signing(request, idempotency_key=idempotency_key)
        answer = job_at(service.signing_job, job, deadline)
        if "results" not in answer:
            show_unfinished(answer, json_wanted=json_wanted, waited=deadline is not None)
    else:
        answer = service.sign(request, idempotency_key=idempotency_key)
    if deadline is not None:
        _wait(service, answer, deadline)
    show_signing(answer, json_wanted=json_wanted, waited=deadline is not None)


def show_signing(answer: dict[str, Any], *, json_wanted: bool, waited: bool) -> NoReturn:
    """Print what signing has come to, and end with the exit code for it."""
    if json_wanted:
        emit(answer)
    else:
        _tell(answer["results"])
    finish(_exit(answer["results"], waited=waited))


def _signatures(results: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in results:
        yield from item["signatures"]
        yield from _signatures(item["children"])


def _wait(service: SealwrightClient, answer: dict[str, Any], deadline: float) -> None:
    """Ask for pending attachments until none is left or the time is up."""
    while True:
        pending = [
            made
            for made in _signatures(answer["results"])
            if made["attachment"]["state"] == "pending"
        ]
        if not pending or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        for made in pending:
            made["attachment"] = service.signature(made["id"])["attachment"]


def _tell(results: Sequence[dict[str, Any]]) -> None:
    for item in results:
        error = item["error"]
        if error is not None:
            warn(f"failed  {item['reference']}: {error['detail']} ({error['code']})")
        for made in item["signatures"]:
            state = made["attachment"]["state"]
            say(
                f"signed  {item['reference']} as {made['format']} "
                f"by {made['key']} v{made['key_version']}: attachment {state}"
            )
        _tell(item["children"])


def _exit(results: Sequence[dict[str, Any]], *, waited: bool) -> Exit:
    states = {made["attachment"]["state"] for made in _signatures(results)}
    exits = {Exit.UNAVAILABLE} if "failed" in states or (waited and "pending" in states) else set()
    return worst(exits | set(_error_exits(results)))


def _error_exits(results: Sequence[dict[str, Any]]) -> Iterator[Exit]:
    for item in results:
        if item["error"] is not None:
            yield exit_for(item["error"]["code"], retryable=item["error"]["retryable"])
        yield from _error_exits(item["children"])
