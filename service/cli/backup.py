"""`sealwright backup`: the store and SoftHSM's token, kept elsewhere and brought back (local)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from service.cli.exits import Exit, worst
from service.cli.output import as_json, emit, finish, say, warn
from service.domain.log import LogName

if TYPE_CHECKING:
    from service.bootstrap.backup_checks import Check
    from service.bootstrap.backup_restore import Restored

_BACKUP = click.argument(
    "backup", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
_EXITS = {"wrong": Exit.VERDICT_IS_NO, "unknown": Exit.UNAVAILABLE}


@click.group()
def backup() -> None:
    """Back up the store and SoftHSM's token; verify and restore backups (local)."""


@backup.command()
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The new directory; it appears whole or not at all.",
)
@as_json
def create(*, target: Path, json_wanted: bool) -> None:
    """Copy the store, then SoftHSM's token, while the service goes on; PINs stay out."""
    from service.bootstrap.backup import BackupRefusedError, create_backup  # noqa: PLC0415 - pays for the store

    try:
        made = create_backup(target)
    except BackupRefusedError as error:
        raise click.UsageError(str(error)) from error
    if json_wanted:
        click.echo(made.dump().decode(), nl=False)
        return
    for at in made.logs:
        say(f"log {at.log}: {at.unverified_head.size} entries published before it")
    for token in made.tokens:
        if token.held:
            say(f"token {token.label}: copied, without its PIN")
        else:
            warn(f"token {token.label}: NOT in it; back it up by the HSM's own means")
    if not made.tokens:
        warn("no token is configured: NO KEY is in it")
    say(f"{target}: {len(made.files)} files; `sealwright backup verify {target}` tries it")


@backup.command()
@_BACKUP
@click.option(
    "--scratch-url-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The URL of an empty PostgreSQL database; a backup of PostgreSQL is loaded into it, and "
    "left there. Without it nothing can be said of its logs and keys.",
)
@as_json
def verify(*, backup: Path, scratch_url_file: Path | None, json_wanted: bool) -> None:
    """Try whether DIR would bring everything back: files, store, logs and keys.

    Ends with 1 where something is wrong, and with 4 where something could not be checked.
    """
    from service.bootstrap.backup import BackupRefusedError  # noqa: PLC0415 - pays for the store
    from service.bootstrap.backup_checks import verify_backup  # noqa: PLC0415

    scratch = None if scratch_url_file is None else scratch_url_file.read_text().strip()
    try:
        checks = verify_backup(backup, scratch_url=scratch)
    except BackupRefusedError as error:
        raise click.UsageError(str(error)) from error
    if json_wanted:
        emit({"checks": [asdict(check) for check in checks]})
    else:
        _say(checks)
    finish(_exit(checks))


@backup.command()
@_BACKUP
@click.option(
    "--newer-checkpoint",
    "newer",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The newest checkpoint of a log that anybody kept: the note itself, the state of "
    "`log monitor`, or the bundle of the newest signature. Repeatable.",
)
@click.option(
    "--nothing-newer",
    is_flag=True,
    help="The logs have published nothing after the backup: the service was stopped before it.",
)
@click.option(
    "--end-log",
    "ended",
    multiple=True,
    type=click.Choice([log.value for log in LogName]),
    help="End this log where the backup has it; another, with another NAME, follows. Repeatable.",
)
@as_json
def restore(
    *,
    backup: Path,
    newer: tuple[Path, ...],
    nothing_newer: bool,
    ended: tuple[str, ...],
    json_wanted: bool,
) -> None:
    """Put DIR into the empty places that the settings name, after verifying it.

    Of each log somebody has to say what it published after the backup, unless the directory of
    checkpoints is still there. Ends with 1 where the backup is wrong (nothing is put in place), and
    where entries that were published are missing: then nothing is signed before they are brought
    back, or their log is ended.
    """
    from service.bootstrap.backup import BackupRefusedError  # noqa: PLC0415 - pays for the store
    from service.bootstrap.backup_restore import Knowledge, restore_backup  # noqa: PLC0415

    knowledge = Knowledge(newer, nothing_newer, frozenset(map(LogName, ended)))
    try:
        restored = restore_backup(backup, knowledge)
    except BackupRefusedError as error:
        raise click.UsageError(str(error)) from error
    _tell_restored(restored, json_wanted=json_wanted)


def _tell_restored(restored: Restored, *, json_wanted: bool) -> NoReturn:
    missing = restored.missing
    if json_wanted:
        emit(
            {
                "restored": missing is not None,
                "checks": [asdict(check) for check in restored.checks],
                "missing": [
                    {
                        "log": one.log.value,
                        "from": one.positions.start,
                        "to": one.positions.stop - 1,
                    }
                    for one in missing or ()
                ],
            }
        )
    else:
        _say(restored.checks)
        if missing is None:
            warn("NOT restored")
    if missing is None:
        finish(Exit.VERDICT_IS_NO)
    if not json_wanted:
        for one in missing:
            first, last = one.positions.start, one.positions.stop - 1
            warn(
                f"missing  log {one.log}: entries {first} to {last}, published after the backup. "
                "Nothing is signed before `sealwright log recover` has brought them back or closed "
                "the log"
            )
        say("restored; signing is stopped until `sealwright maintenance off`")
        say("first do again what people did since the backup: credentials revoked, keys stopped")
    finish(worst({_exit(restored.checks), Exit.VERDICT_IS_NO if missing else Exit.DONE}))


def _say(checks: Sequence[Check]) -> None:
    for check in checks:
        line = f"{check.outcome.value:<8} {check.what}: {check.detail}"
        (warn if check.outcome.value in _EXITS else say)(line)


def _exit(checks: Sequence[Check]) -> Exit:
    return worst({_EXITS.get(check.outcome.value, Exit.DONE) for check in checks})
