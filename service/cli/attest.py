"""`sealwright attest`: `POST /v1/attestations`."""

from __future__ import annotations

import json
import time
from types import MappingProxyType
from typing import IO, Any, Final

import click

from service.cli.output import as_json
from service.cli.remote import client
from service.cli.results import conclude
from service.cli.types import Duration

TYPES: Final = MappingProxyType(
    {
        "slsaprovenance": "https://slsa.dev/provenance/v0.2",
        "slsaprovenance02": "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1": "https://slsa.dev/provenance/v1",
        "spdx": "https://spdx.dev/Document",
        "spdxjson": "https://spdx.dev/Document",
        "cyclonedx": "https://cyclonedx.org/bom",
        "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
        "openvex": "https://openvex.dev/ns",
        "link": "https://in-toto.io/Link/v1",
        "custom": "https://cosign.sigstore.dev/attestation/v1",
    }
)
"""The names that cosign gives to predicate types."""


class PredicateType(click.ParamType[str]):
    name = "type"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if ":" in text:
            return text
        if text not in TYPES:
            self.fail(f"{text!r} is neither a URI nor one of {', '.join(TYPES)}", param, ctx)
        return TYPES[text]


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--type",
    "predicate_type",
    type=PredicateType(),
    required=True,
    help=f"What the predicate is: a URI, or {', '.join(TYPES)}.",
)
@click.option(
    "--predicate",
    type=click.File("rb"),
    required=True,
    help="File with the predicate, a JSON object; - is standard input.",
)
@click.option("--key", help="Which key attests; optional where policy leaves one choice.")
@click.option("--id", "ids", multiple=True, help="Your name for an image, one for each IMAGE.")
@click.option("--no-attach", is_flag=True, help="Do not attach; --json shows what to push.")
@click.option("--force", is_flag=True, help="Attest anew even where the same stands.")
@click.option("--wait", type=Duration(), help="Wait so long for attachments, as in 30s or 5m.")
@click.option("--idempotency-key", help="Name of the request; made up if left out.")
@as_json
def attest(
    images: tuple[str, ...],
    *,
    predicate_type: str,
    predicate: IO[bytes],
    key: str | None,
    ids: tuple[str, ...],
    no_attach: bool,
    force: bool,
    wait: float | None,
    idempotency_key: str | None,
    json_wanted: bool,
) -> None:
    """Attest one predicate about each IMAGE: host/repository[:tag]@sha256:digest.

    A failed image does not stop the others; the exit code tells of the worst.
    """
    if ids and len(ids) != len(images):
        raise click.UsageError("give --id once for each IMAGE, or not at all")
    said = _object(predicate.read())
    items: list[dict[str, Any]] = [
        {"image": image, "predicate_type": predicate_type, "predicate": said} for image in images
    ]
    for item, item_id in zip(items, ids, strict=False):
        item["id"] = item_id
    request: dict[str, Any] = {"attestations": items, "attach": not no_attach, "force": force}
    if key is not None:
        request["key"] = key
    service = client()
    deadline = None if wait is None else time.monotonic() + wait
    answer = service.attest(request, idempotency_key=idempotency_key)
    conclude(service, answer, done="attested", deadline=deadline, json_wanted=json_wanted)


def _object(content: bytes) -> dict[str, Any]:
    """Read the predicate; what two readers could read as two things is refused."""
    try:
        value = json.loads(content, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"the predicate is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise click.UsageError("the predicate is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
