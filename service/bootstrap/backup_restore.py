"""`sealwright backup restore`: into the empty places that the settings name, and nowhere else.

A store of an hour ago knows nothing of what the log has published since. If it went on from
there, it would sign two trees of one size, and its log would be worth nothing. So nobody gets a
restored log without having said what is known of that hour: the newest checkpoint that anybody
has kept (it goes where the service looks before it signs anything: `RollbackGuard`), that there is
none, or that the log is to end where the backup has it.

The checkpoints go first and the store last, so that there is never a store without them. It comes
up with the maintenance switch on: what people have done since the backup (a credential revoked,
a key suspended) is undone, and comes first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from service.bootstrap.backup import BackupRefusedError, sync_directories
from service.bootstrap.backup_checks import (
    Check,
    Outcome,
    check_store,
    checked_head,
    contradiction,
    is_wrong,
    look_at_files,
)
from service.bootstrap.settings import Settings
from service.domain import configfile
from service.domain.log import LogName
from service.domain.public_keys import SignatureInvalidError
from service.formats import backup_manifest as manifests
from service.formats import strictjson
from service.formats.backup_manifest import LogAt, Manifest
from service.keyring import copy_tokens, token_directory
from service.operations import maintenance
from service.operations.log import RecoverLog
from service.store import Store
from service.store.copies import is_empty, is_postgresql, put_aside, put_in_place
from service.translog.checkpoints import Checkpoint
from service.translog.errors import TranslogError
from service.translog.notes import Note
from service.witnesses import CheckpointFiles

ACTOR = "sealwright backup restore"


@dataclass(frozen=True, slots=True)
class Missing:
    """Entries of a log that were published and that the backup does not hold."""

    log: LogName
    positions: range


@dataclass(frozen=True, slots=True)
class Restored:
    """`missing` is None where nothing was put in place, because something is wrong."""

    checks: Sequence[Check]
    missing: Sequence[Missing] | None = None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What an operator knows of the time after the backup."""

    newer: Sequence[Path]
    """Files with a checkpoint: a signed note, the state of `log monitor`, or a bundle."""
    nothing_newer: bool
    ended: frozenset[LogName]
    """Logs that end where the backup has them."""


def restore_backup(directory: Path, knowledge: Knowledge) -> Restored:
    """Put the store and the token of a backup where the settings say that they are.

    Raises:
        BackupRefusedError: nothing was done.
        ConfigurationError, HSMUnavailableError, SchemaUnsupportedError, StoreUnavailableError.
    """
    settings = Settings.from_environment(need_token=False)
    manifest, checks = look_at_files(directory)
    if manifest is None or is_wrong(checks):
        return Restored(checks)
    tokens = _place_for_tokens(settings, manifest)
    url = _place_for_store(settings, manifest)
    keeper = CheckpointFiles(settings.checkpoints_dir)
    newer = _newer(manifest, keeper, knowledge)
    with ExitStack() as undo:
        for at in manifest.logs:
            if keeper.newest(at.log) is None:
                # Should this attempt fail, then what it was told is not known to the next.
                undo.callback(keeper.set_aside, at.log)
            for note in (at.note, *newer[at.log]):
                keeper.keep(at.log, note)
        with put_aside(directory / manifest.store, url) as aside, closing(Store(aside)) as store:
            checks += check_store(aside, directory, manifest)
            checks += _contradictions(store, manifest, newer)
            if is_wrong(checks):
                if aside == url:
                    checks.append(Check("database", Outcome.NOTE, "it has been loaded: drop it"))
                return Restored(checks)
            missing = _hold_back(store, manifest, keeper, knowledge.ended)
            store.close()
            if tokens is not None:
                copy_tokens(directory / manifests.TOKENS, tokens)
                sync_directories(tokens)
            put_in_place(aside, url)
        undo.pop_all()
    return Restored(checks, missing)


def _place_for_tokens(settings: Settings, manifest: Manifest) -> Path | None:
    if not any(token.held for token in manifest.tokens):
        return None
    place = token_directory(settings.softhsm_conf)
    if place.exists() and any(place.iterdir()):
        raise BackupRefusedError(f"the token directory {place} is not empty")
    return place


def _place_for_store(settings: Settings, manifest: Manifest) -> str:
    url = settings.database_url
    if is_postgresql(url) is not (manifest.store == manifests.STORES[1]):
        raise BackupRefusedError(f"{manifest.store} does not fit the database of the settings")
    if not is_empty(url):
        raise BackupRefusedError("the database is not empty")
    return url


def _newer(
    manifest: Manifest, keeper: CheckpointFiles, knowledge: Knowledge
) -> Mapping[LogName, Sequence[str]]:
    """Return the checkpoints that are known beside the manifest's own, each with its signature checked."""
    found: dict[LogName, list[str]] = {at.log: [] for at in manifest.logs}
    for file in knowledge.newer:
        note = _note_in(file)
        at = next((at for at in manifest.logs if _is_of(at, note)), None)
        if at is None:
            raise BackupRefusedError(f"{file}: no checkpoint of a log that the backup holds")
        found[at.log].append(note)
    for at in manifest.logs:
        kept = keeper.newest(at.log)
        if kept is not None:
            found[at.log].append(kept)
        for note in found[at.log]:
            try:
                checked_head(at, note)
            except (TranslogError, SignatureInvalidError) as error:
                raise BackupRefusedError(f"a newer checkpoint of {at.log}: {error}") from error
    if not knowledge.nothing_newer:
        silent = [log for log, known in found.items() if not known and log not in knowledge.ended]
        if silent:
            raise BackupRefusedError(
                f"nobody has said what was published after the backup by: {', '.join(silent)}. Name "
                "the newest checkpoint that anybody kept (--newer-checkpoint), say that there is "
                "none (--nothing-newer), or end the log where the backup has it (--end-log)"
            )
    return found


def _note_in(file: Path) -> str:
    """Return the signed note in a file, in the state of a monitor, or in a sigstore bundle.

    Raises:
        BackupRefusedError: there is none.
        ConfigurationError: the file cannot be read.
    """
    try:
        content = configfile.read(file)
        if not content.startswith(b"{"):
            return content.decode()
        document = strictjson.load(content)
        if "checkpoint" in document:
            return str(document["checkpoint"])
        (entry,) = document["verificationMaterial"]["tlogEntries"]
        return str(entry["inclusionProof"]["checkpoint"]["envelope"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackupRefusedError(f"{file} holds no checkpoint") from error


def _is_of(at: LogAt, note: str) -> bool:
    try:
        head = Checkpoint.parse(Note.parse(note).unverified_text)
    except TranslogError:
        return False
    return at.has_origin(head.origin)


def _contradictions(
    store: Store, manifest: Manifest, newer: Mapping[LogName, Sequence[str]]
) -> Iterator[Check]:
    """Hold the store against the checkpoints that it is long enough for."""
    for at in manifest.logs:
        tree = store.log_writer.tree(at.log)
        for note in newer[at.log]:
            if tree is not None and checked_head(at, note).size <= tree.size:
                fault = contradiction(store, at, note)
                if fault is not None:
                    yield Check(f"log {at.log}", Outcome.WRONG, fault)


def _hold_back(
    store: Store, manifest: Manifest, keeper: CheckpointFiles, ended: frozenset[LogName]
) -> Sequence[Missing]:
    """Stop signing, end the logs that are to end, and return what the others lack."""
    moment = manifest.made_at.isoformat(timespec="seconds")
    reason = f"restored from the backup of {moment}: what was done since has to be done again"
    store.switches.turn(maintenance.NAME, on=True, reason=reason, actor=ACTOR)
    recover = RecoverLog(store.log_writer, store.log_recovery, keeper, store.audit)
    for log in sorted(ended):
        recover.close(log)
    losses = {log: recover.loss(log) for log in LogName}
    return [Missing(log, loss.positions) for log, loss in losses.items() if loss is not None]
