"""`sealwright keys …` for custodians: what changes a key, each command one call of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from service.cli.key_text import say_key, say_key_or_version, say_version
from service.cli.output import as_json
from service.cli.pending import show_or_pending
from service.cli.remote import client
from service.cli.types import Moment
from service.domain.keys import CALLERS_PURPOSES, Algorithm, KeyState, Purpose

PURPOSES: Final = click.Choice([purpose.value for purpose in CALLERS_PURPOSES])
ALGORITHMS: Final = click.Choice([algorithm.value for algorithm in Algorithm])
_STATES: Final = click.Choice([state.value for state in KeyState])

_token = click.option("--token", help="Label of the token; optional where the choice is clear.")
_staged = click.option("--staged", is_flag=True, help="Make it, and activate it later.")
_alongside = click.option(
    "--alongside", is_flag=True, help="Leave the active version active beside it: both sign."
)
_reason = click.option("--reason", help="Why; kept in the audit trail.")
_since = click.option(
    "--since",
    type=Moment(past=True),
    help="Signatures proven to be older still count: a time of RFC 3339, or 2h for two hours ago.",
)


def _given(**fields: Any) -> dict[str, Any]:
    """Leave out what was not said, so that the service decides."""
    return {name: value for name, value in fields.items() if value is not None}


def _at_first(*, staged: bool) -> str | None:
    return KeyState.STAGED.value if staged else None


@click.command("create")
@click.argument("name")
@click.option("--purpose", type=PURPOSES, default=Purpose.IMAGE.value, show_default=True)
@click.option("--algorithm", type=ALGORITHMS, default=Algorithm.EC_P256.value, show_default=True)
@_token
@_staged
@as_json
def create(
    name: str,
    *,
    purpose: str,
    algorithm: str,
    token: str | None,
    staged: bool,
    json_wanted: bool,
) -> None:
    """Make a key on a token (role custodian)."""
    state = _at_first(staged=staged)
    made = client().create_key(
        name, purpose, algorithm=algorithm, **_given(token=token, state=state)
    )
    show_or_pending(made, say_key, json_wanted=json_wanted)


@click.command("rotate")
@click.argument("name")
@click.option("--algorithm", type=ALGORITHMS, help="Another kind of key pair than the key's.")
@_token
@_staged
@_alongside
@as_json
def rotate(
    name: str,
    *,
    algorithm: str | None,
    token: str | None,
    staged: bool,
    alongside: bool,
    json_wanted: bool,
) -> None:
    """Make a new version of a key; it takes the active one's place (role custodian)."""
    wanted = _given(
        algorithm=algorithm,
        token=token,
        state=_at_first(staged=staged),
        alongside=alongside or None,
    )
    show_or_pending(client().rotate_key(name, wanted), say_version, json_wanted=json_wanted)


@click.command("state")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@click.argument("state", type=_STATES)
@_reason
@_since
@click.option("--alongside", is_flag=True, help="With active: leave other versions active.")
@as_json
def change_state(
    name: str,
    version: int,
    state: str,
    *,
    reason: str | None,
    since: str | None,
    alongside: bool,
    json_wanted: bool,
) -> None:
    """Move VERSION of a key to STATE (role custodian)."""
    _move(
        name,
        version,
        _given(state=state, reason=reason, since=since, alongside=alongside or None),
        json_wanted=json_wanted,
    )


def _move(name: str, version: int, wanted: dict[str, Any], *, json_wanted: bool) -> None:
    moved = client().move_version(name, version, wanted)
    show_or_pending(moved, say_version, json_wanted=json_wanted)


def _mover(verb: str, state: KeyState, help_text: str) -> click.Command:
    """Return the command that moves a version to `state` and takes nothing but a reason."""

    @click.command(verb, help=f"{help_text} (role custodian).")
    @click.argument("name")
    @click.argument("version", type=click.IntRange(1))
    @_reason
    @as_json
    def command(name: str, version: int, *, reason: str | None, json_wanted: bool) -> None:
        _move(name, version, _given(state=state.value, reason=reason), json_wanted=json_wanted)

    return command


@click.command("activate")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@click.option("--alongside", is_flag=True, help="Leave other versions active: all sign.")
@_reason
@as_json
def activate(
    name: str, version: int, *, alongside: bool, reason: str | None, json_wanted: bool
) -> None:
    """Let VERSION sign: a staged one, or one that was suspended (role custodian)."""
    wanted = _given(state=KeyState.ACTIVE.value, reason=reason, alongside=alongside or None)
    _move(name, version, wanted, json_wanted=json_wanted)


@click.command("compromise")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@_since
@_reason
@as_json
def compromise(
    name: str, version: int, *, since: str | None, reason: str | None, json_wanted: bool
) -> None:
    """Tell that VERSION is in wrong hands: it signs no more, and its signatures fail.

    With --since those stand that are proven to be older. Role custodian; there is no way back.
    """
    wanted = _given(state=KeyState.COMPROMISED.value, reason=reason, since=since)
    _move(name, version, wanted, json_wanted=json_wanted)


@click.command("adopt")
@click.argument("name")
@click.argument("uri")
@click.option(
    "--public-key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The public key as PEM; the private key must prove to fit.",
)
@click.option("--purpose", type=PURPOSES, help="Of a new key; image, if left out.")
@_staged
@_alongside
@click.option(
    "--allow-extractable",
    is_flag=True,
    help="Take a key that can leave its token, if the policy file allows that.",
)
@as_json
def adopt(
    name: str,
    uri: str,
    *,
    public_key: Path,
    purpose: str | None,
    staged: bool,
    alongside: bool,
    allow_extractable: bool,
    json_wanted: bool,
) -> None:
    """Adopt the key at URI (pkcs11:…, RFC 7512) as NAME (role custodian)."""
    try:
        pem = public_key.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{public_key} is not a file in PEM") from error
    wanted = _given(
        uri=uri,
        public_key=pem,
        purpose=purpose,
        state=_at_first(staged=staged),
        alongside=alongside or None,
        allow_extractable=allow_extractable or None,
    )
    show_or_pending(client().adopt_key(name, wanted), say_key_or_version, json_wanted=json_wanted)


COMMANDS: Final[tuple[click.Command, ...]] = (
    create,
    rotate,
    change_state,
    activate,
    _mover("suspend", KeyState.SUSPENDED, "Stop VERSION from signing, at once"),
    _mover("retire", KeyState.RETIRED, "End the use of VERSION; its signatures stay good"),
    _mover(
        "destroy", KeyState.DESTROYED, "Destroy the key pair of VERSION on its tokens, for good"
    ),
    compromise,
    adopt,
)
