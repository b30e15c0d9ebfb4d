"""`sealwright verify`: `POST /v1/verifications`."""

from __future__ import annotations

from typing import Any, Final

import click

from service.cli.exits import Exit
from service.cli.output import as_json, emit, finish, say
from service.cli.remote import client

MAX_IMAGES: Final = 100  # of one request


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--recursive", is_flag=True, help="Verify an index and every manifest in it.")
@as_json
def verify(images: tuple[str, ...], *, recursive: bool, json_wanted: bool) -> None:
    """Verify each IMAGE at its registry.

    Exit code 1: an image is rejected or unsigned. 4: for some nobody could tell.
    """
    service = client()
    results: list[dict[str, Any]] = []
    for first in range(0, len(images), MAX_IMAGES):
        chosen = images[first : first + MAX_IMAGES]
        results += service.verify(chosen, recursive=recursive)["results"]
    if json_wanted:
        emit({"results": results})
    else:
        for result in results:
            _tell(result)
    finish(_exit({result["verdict"] for result in results}))


def _tell(result: dict[str, Any]) -> None:
    count = f"  ({result['n_of_n']} manifests verified)" if result["n_of_n"] else ""
    say(f"{result['verdict']:<8}  {result['reference']}{count}")
    for reason in result["reasons"]:
        say(f"          {reason['text']} ({reason['code']})")
    for said in result.get("attestations", ()):
        by = f" by {said['key']} v{said['key_version']}" if said["key"] else ""
        say(f"          attested: {said['predicate_type']}{by}: {said['outcome']}")
    for warning in result["warnings"]:
        say(f"          warning: {warning['text']} ({warning['code']})")
        if "cure" in warning:
            say(f"          cure: {warning['cure']}")


def _exit(verdicts: set[str]) -> Exit:
    """Nothing but `verified` is a yes: a verdict of a newer service is not taken for one."""
    if verdicts <= {"verified"}:
        return Exit.DONE
    return Exit.UNAVAILABLE if verdicts <= {"verified", "unknown"} else Exit.VERDICT_IS_NO
