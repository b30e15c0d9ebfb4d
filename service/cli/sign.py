"""`sealwright sign`: `POST /v1/signatures`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NoReturn

import click

from service.cli.awaiting import job_at, show_unfinished
from service.cli.output import as_json
from service.cli.remote import client
from service.cli.results import conclude, show_results
from service.cli.types import Duration, Pair
from service.client import SealwrightClient


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
@click.option("--push-from-here", is_flag=True, help="Attach with your own registry login.")
@click.option("--registries", type=click.Path(path_type=Path), help="Your own registries file.")
@click.option("--registry-ca-file", type=click.Path(path_type=Path), help="CA of your registry.")
@click.option("--registry-plain-http", is_flag=True, help="Reach the registry without TLS.")
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
    push_from_here: bool,
    registries: Path | None,
    registry_ca_file: Path | None,
    registry_plain_http: bool,
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
    how = (registries, registry_ca_file, registry_plain_http)
    _check_how(how, push_from_here=push_from_here, others=no_attach or later or wait is not None)
    if push_from_here:
        _push_from_here(service, request, how, idempotency_key, json_wanted=json_wanted)
    deadline = None if wait is None else time.monotonic() + wait
    if later:
        job = service.submit_signing(request, idempotency_key=idempotency_key)
        answer = job_at(service.signing_job, job, deadline)
        if "results" not in answer:
            show_unfinished(answer, json_wanted=json_wanted, waited=deadline is not None)
    else:
        answer = service.sign(request, idempotency_key=idempotency_key)
    conclude(service, answer, done="signed", deadline=deadline, json_wanted=json_wanted)


def _check_how(
    how: tuple[Path | None, Path | None, bool], *, push_from_here: bool, others: bool
) -> None:
    if push_from_here and others:
        raise click.UsageError("--push-from-here attaches by itself, and at once")
    if not push_from_here and any(how):
        raise click.UsageError("how to reach the registry is asked with --push-from-here alone")


def _push_from_here(
    service: SealwrightClient,
    request: dict[str, Any],
    how: tuple[Path | None, Path | None, bool],
    idempotency_key: str | None,
    *,
    json_wanted: bool,
) -> NoReturn:
    # Imported here: whoever lets the service attach has no use for a registry client.
    from service.cli.push import sign_and_push  # noqa: PLC0415

    answer, exits = sign_and_push(service, request, how, idempotency_key=idempotency_key)
    show_results(answer, done="signed", json_wanted=json_wanted, waited=False, exits=exits)
