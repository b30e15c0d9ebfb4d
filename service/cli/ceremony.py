"""`sealwright keys ceremony`: a script to be printed, read aloud, and initialled."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from service.cli.ceremony_script import Kind, Script, Wanted, acts_of, script
from service.cli.papers import hand_out, render
from service.cli.remote import client
from service.client import ClientSettings
from service.domain.clock import SystemClock, rfc3339
from service.domain.keys import NEXT_STATES, Algorithm, KeyState, Purpose

_KINDS: Final = click.Choice([kind.value for kind in Kind])
_PURPOSES: Final = click.Choice([purpose.value for purpose in Purpose])
_ALGORITHMS: Final = click.Choice([algorithm.value for algorithm in Algorithm])


@click.command("ceremony")
@click.argument("kind", type=_KINDS)
@click.argument("name")
@click.argument("version", type=click.IntRange(1), required=False)
@click.option("--purpose", type=_PURPOSES, help="With generate; image, if left out.")
@click.option("--algorithm", type=_ALGORITHMS, help="With generate (ec-p256) or rotate.")
@click.option("--token", help="With generate or rotate: label of the token.")
@click.option("--html", is_flag=True, help="A page to be printed, instead of Markdown.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file."
)
def ceremony(
    kind: str,
    name: str,
    version: int | None,
    *,
    purpose: str | None,
    algorithm: str | None,
    token: str | None,
    html: bool,
    output: Path | None,
) -> None:
    """Print the script of a ceremony: generate NAME, rotate NAME, or destroy NAME VERSION.

    It has a place for everyone that the quorum rules in force ask for, each exact command, and
    room for names, times and initials. Roles custodian, auditor and admin.
    """
    wanted = Kind(kind)
    if (wanted is Kind.DESTROY) != (version is not None):
        raise click.UsageError("VERSION goes with destroy, and destroy needs it")
    if purpose is not None and wanted is not Kind.GENERATE:
        raise click.UsageError("--purpose goes with generate")
    if wanted is Kind.DESTROY and (algorithm is not None or token is not None):
        raise click.UsageError("--algorithm and --token go with generate and rotate")
    if wanted is Kind.GENERATE:
        purpose = purpose or Purpose.IMAGE.value
        algorithm = algorithm or Algorithm.EC_P256.value
    found = None if wanted is Kind.GENERATE else _version(client().key(name), version)
    if wanted is Kind.DESTROY and found is not None:
        _check_may_be_destroyed(name, found)
    rules = client().quorum()["in_force"]
    prepared = Wanted(
        wanted,
        name,
        _url(),
        needed=max(rules["people"].get(act, 1) for act in acts_of(wanted)),
        signed=rules["signed"],
        version=version,
        fingerprint=None if found is None else found["fingerprint"],
        purpose=purpose,
        algorithm=algorithm,
        token=token,
    )
    hand_out(_paper(script(prepared), html=html), output)


def _version(key: dict[str, Any], number: int | None) -> dict[str, Any]:
    """Return the version in question: the one named, or the one that signs now."""
    versions = [
        v
        for v in key["versions"]
        if v["version"] == number or (number is None and v["state"] == KeyState.ACTIVE.value)
    ]
    if not versions:
        raise click.UsageError(f"{key['name']} has no such version")
    found: dict[str, Any] = versions[-1]
    return found


def _check_may_be_destroyed(name: str, version: dict[str, Any]) -> None:
    """Nobody shall meet for an act that will be refused. Raises UsageError."""
    state = KeyState(version["state"])
    if KeyState.DESTROYED not in NEXT_STATES[state]:
        raise click.UsageError(
            f"version {version['version']} of {name} is {state}, and cannot be destroyed as such"
        )


def _url() -> str:
    settings = ClientSettings.from_environment()
    scheme = "https" if settings.tls else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{settings.port}{settings.path}"


def _paper(prepared: Script, *, html: bool) -> str:
    values = {"script": prepared, "printed_at": rfc3339(SystemClock().now())}
    return render("ceremony.html" if html else "ceremony.md", values)
