"""`sealwright credentials`: named callers, whose tokens are shown once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from service.cli.exits import Exit
from service.cli.output import as_json, emit, finish, say, table
from service.cli.pending import is_pending, say_pending, show_or_pending
from service.cli.remote import client
from service.cli.types import Moment
from service.domain.callers import Role

_KEY_FILE: Final = click.option(
    "--ssh-public-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The key that a custodian signs approvals with: id_ed25519.pub.",
)
_ROLES: Final = click.Choice([role.value for role in Role])


@click.group()
def credentials() -> None:
    """Make, change, list and revoke credentials (role admin)."""


class TokenFile:
    """Where a new token goes: a file that was there before the token was, or stdout."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def take(self, token: str) -> bool:
        """Write the token, without a newline; return whether there was a file for it."""
        if self._descriptor is None:
            return False
        with os.fdopen(os.dup(self._descriptor), "w", encoding="ascii") as file:
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        return True


@contextmanager
def _token_file(path: Path | None) -> Iterator[TokenFile]:
    """Open the file first: a token that cannot be kept must not be made.

    It is new, and only its owner can read it; if no token comes of it, it goes away again.
    """
    if path is None:
        yield TokenFile(None)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.UsageError(f"{path} cannot be made: {error.strerror}") from error
    try:
        yield TokenFile(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


@credentials.command("create")
@click.argument("name")
@click.option("--person", required=True, help="Who stands behind it.")
@click.option("--role", type=_ROLES, help="What its holder may do.")
@click.option("--repository", "repositories", multiple=True, help="Pattern it may sign in.")
@click.option("--key", "keys", multiple=True, help="Key it may use, or *.")
@click.option("--right", "rights", multiple=True, help="Further right.")
@click.option("--expires", type=Moment(), help="When it ends: 90d, or a time of RFC 3339.")
@_KEY_FILE
@click.option(
    "--first", is_flag=True, help="The first admin, made locally; only while none exists."
)
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write the token to this new file, mode 0600."
)
@as_json
def create_credential(
    name: str,
    *,
    person: str,
    role: str | None,
    repositories: tuple[str, ...],
    keys: tuple[str, ...],
    rights: tuple[str, ...],
    expires: str | None,
    ssh_public_key: Path | None,
    first: bool,
    output: Path | None,
    json_wanted: bool,
) -> None:
    """Make a credential. Its token is printed once, or written to --output.

    That of a custodian may need approvals; the token works from when it has them.
    """
    if first:
        more = (repositories, keys, rights, expires, ssh_public_key)
        if role not in {None, Role.ADMIN.value} or any(more):
            raise click.UsageError("--first makes an admin, and takes --person and --output only")
    elif role is None:
        raise click.UsageError("--role is needed")
    wanted: dict[str, Any] = {
        "name": name,
        "person": person,
        "role": role,
        "repositories": list(repositories),
        "keys": list(keys),
        "rights": list(rights),
    }
    if expires is not None:
        wanted["expires_at"] = expires
    if ssh_public_key is not None:
        wanted["ssh_public_key"] = _line(ssh_public_key)
    with _token_file(output) as file:
        made = _first_admin(name, person) if first else client().create_credential(wanted)
        if file.take(made["token"]):
            del made["token"]
    _tell(made, output, json_wanted=json_wanted)


def _tell(made: dict[str, Any], output: Path | None, *, json_wanted: bool) -> None:
    if json_wanted:
        emit(made)
    elif output is None:
        click.echo(made["token"])
    elif is_pending(made):
        say_pending(made)
        say(f"  token in {output}: it works once that is approved")
    else:
        say(f"{made['name']}: {made['role']}, token in {output}")
    if is_pending(made):
        finish(Exit.UNAVAILABLE)


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} is not an SSH public key") from error


@credentials.command("change")
@click.argument("name")
@click.option("--person", help="Who stands behind it from now on.")
@click.option("--expires", type=Moment(), help="When it ends: 90d, or a time of RFC 3339.")
@click.option("--never-expires", is_flag=True, help="Take its expiry away.")
@_KEY_FILE
@click.option("--no-ssh-key", is_flag=True, help="Take its SSH key away.")
@as_json
def change_credential(
    name: str,
    *,
    person: str | None,
    expires: str | None,
    never_expires: bool,
    ssh_public_key: Path | None,
    no_ssh_key: bool,
    json_wanted: bool,
) -> None:
    """Give a credential another person, expiry or SSH key; a custodian's may need approvals."""
    if (expires is not None and never_expires) or (ssh_public_key is not None and no_ssh_key):
        raise click.UsageError("either a new one or none")
    wanted: dict[str, Any] = {} if person is None else {"person": person}
    if expires is not None or never_expires:
        wanted["expires_at"] = expires
    if ssh_public_key is not None or no_ssh_key:
        wanted["ssh_public_key"] = None if ssh_public_key is None else _line(ssh_public_key)
    if not wanted:
        raise click.UsageError("nothing is to be changed")
    changed = client().change_credential(name, wanted)
    show_or_pending(changed, lambda made: say(f"{made['name']}: changed"), json_wanted=json_wanted)


def _first_admin(name: str, person: str) -> dict[str, Any]:
    from service.bootstrap.local import first_admin  # noqa: PLC0415 - pays for the whole store

    credential, token = first_admin(name, person)
    caller = credential.caller
    return {"name": caller.name, "person": caller.person, "role": caller.role, "token": token}


@credentials.command("list")
@as_json
def list_credentials(*, json_wanted: bool) -> None:
    """List credentials, revoked ones included."""
    found = list(client().credentials())
    if json_wanted:
        emit(found)
        return
    rows = [("NAME", "ROLE", "PERSON", "STATE", "REPOSITORIES")]
    rows += [
        (c["name"], c["role"], c["person"], _state(c), " ".join(c["repositories"])) for c in found
    ]
    table(rows)


def _state(credential: dict[str, Any]) -> str:
    if credential["revoked_at"] is not None:
        return f"revoked {credential['revoked_at']}"
    if credential["expires_at"] is not None:
        return f"until {credential['expires_at']}"
    return "valid"


@credentials.command("revoke")
@click.argument("name")
@as_json
def revoke_credential(name: str, *, json_wanted: bool) -> None:
    """Revoke a credential; it stops working within two seconds."""
    revoked = client().revoke_credential(name)
    if json_wanted:
        emit(revoked)
    else:
        say(f"{revoked['name']}: revoked {revoked['revoked_at']}")
