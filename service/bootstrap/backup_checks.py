"""`sealwright backup verify`: whether a backup would bring the service back, found out by trying.

Its files are held against the manifest, and its store is put into a place of its own, brought to
this program's schema, and asked what everybody asks: do all entries of the logs lead to their
checkpoints, are those of the manifest among them, and does the token hold the keys on record.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from service.bootstrap.backup import BackupRefusedError, digest_of, files_in
from service.bootstrap.backup_keys import look_in_copy, versions_that_may_sign
from service.bootstrap.settings import Settings
from service.domain.errors import HSMUnavailableError, LogRolledBackError
from service.domain.keys import KeyVersion
from service.domain.public_keys import SignatureInvalidError
from service.formats import backup_manifest as manifests
from service.formats.backup_manifest import LogAt, Manifest, ManifestMalformedError, TokenAt
from service.keyring import Presence
from service.operations.log import RederiveLogs, RollbackGuard
from service.store import Store
from service.store.copies import damage, is_empty, is_postgresql, put_in
from service.store.migrate import upgrade
from service.translog.checkpoints import Checkpoint, OtherLogError, open_checkpoint
from service.translog.errors import TranslogError
from service.translog.notes import Note
from service.witnesses import CheckpointFiles


class Outcome(StrEnum):
    SOUND = "sound"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be checked."""
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Check:
    what: str
    outcome: Outcome
    detail: str = ""


_OUTCOMES = {
    Presence.SIGNS: (Outcome.SOUND, "signs"),
    Presence.SHOWN: (Outcome.SOUND, "its public half is there; with the PIN file it would sign"),
    Presence.MISSING: (Outcome.WRONG, "on record, and not on the token"),
    Presence.UNKNOWN: (Outcome.UNKNOWN, "could not be asked"),
}


def verify_backup(directory: Path, *, scratch_url: str | None) -> list[Check]:
    """Check a backup. `scratch_url`: an empty database that a dump is loaded into, and stays in.

    Raises:
        BackupRefusedError: the directory is no backup, or the database is not empty.
        ConfigurationError, SchemaUnsupportedError, StoreUnavailableError: nothing can be said.
    """
    manifest, checks = look_at_files(directory)
    if manifest is None or is_wrong(checks):
        return checks
    file = directory / manifest.store
    if manifest.store == manifests.STORES[0]:
        with TemporaryDirectory(prefix="sealwright-") as private:
            url = f"sqlite:///{private}/store.db"
            put_in(file, url)
            return [*checks, *check_store(url, directory, manifest)]
    if scratch_url is None:
        what = "not looked at: name an empty database in --scratch-url-file"
        return [*checks, Check("logs and keys", Outcome.UNKNOWN, what)]
    if not is_postgresql(scratch_url) or not is_empty(scratch_url):
        raise BackupRefusedError("the scratch database is not an empty one of PostgreSQL")
    put_in(file, scratch_url)
    return [*checks, *check_store(scratch_url, directory, manifest)]


def is_wrong(checks: Sequence[Check]) -> bool:
    return any(check.outcome is Outcome.WRONG for check in checks)


def look_at_files(directory: Path) -> tuple[Manifest | None, list[Check]]:
    """Hold the files against the manifest, and ask the store's own program of its copy.

    Raises:
        BackupRefusedError: it is no backup.
        ConfigurationError, StoreUnavailableError.
    """
    try:
        with (directory / manifests.NAME).open("rb") as stream:
            content = stream.read(manifests.MAX_BYTES + 1)
    except OSError as error:
        raise BackupRefusedError(f"{directory} is no backup: {error.strerror}") from error
    try:
        manifest = Manifest.parse(content)
    except ManifestMalformedError as error:
        return None, [Check("manifest", Outcome.WRONG, str(error))]
    checks = list(_files(directory, manifest))
    if not checks:
        checks.append(Check("files", Outcome.SOUND, f"{len(manifest.files)} as in the manifest"))
        fault = damage(directory / manifest.store)
        outcome = Outcome.SOUND if fault is None else Outcome.WRONG
        checks.append(Check(manifest.store, outcome, fault or "whole, by its own program"))
    return manifest, checks


def _files(directory: Path, manifest: Manifest) -> Iterator[Check]:
    for one in manifest.files:
        fault = _fault(directory / one.path, one.size, one.sha256)
        if fault is not None:
            yield Check(one.path, Outcome.WRONG, fault)
    known = {one.path for one in manifest.files} | {manifests.NAME}
    for path in files_in(directory):
        name = path.relative_to(directory).as_posix()
        if name not in known:
            yield Check(name, Outcome.WRONG, "not in the manifest")


def _fault(file: Path, size: int, sha256: str) -> str | None:
    try:
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode):
            return "not a plain file"
        if found.st_size != size:
            return f"{found.st_size} bytes, and not {size}"
        return None if digest_of(file) == sha256 else "another SHA-256 than in the manifest"
    except OSError as error:
        return str(error.strerror)


def check_store(url: str, directory: Path, manifest: Manifest) -> Iterator[Check]:
    """Check a store that the backup was put into, once it has a schema that this program works with.

    Raises:
        ConfigurationError, StoreUnavailableError
        SchemaUnsupportedError: only a newer program can say anything of it.
    """
    upgrade(url)
    with closing(Store(url)) as store:
        faults = list(RederiveLogs(store.log_reader, store.log_reader)())
        yield from (Check("logs", Outcome.WRONG, fault) for fault in faults)
        for at in manifest.logs:
            fault = contradiction(store, at, at.note)
            head = at.unverified_head
            detail = (
                fault or f"{head.origin}, {head.size} entries had been published, and all are here"
            )
            yield Check(f"log {at.log}", Outcome.WRONG if fault else Outcome.SOUND, detail)
        yield from _keys(directory, manifest, versions_that_may_sign(store.keys))


def contradiction(store: Store, at: LogAt, note: str) -> str | None:
    """Return how a store contradicts a checkpoint; None where it holds all that it covers."""
    try:
        checked_head(at, note)
        with TemporaryDirectory(prefix="sealwright-") as private:
            keeper = CheckpointFiles(Path(private))
            keeper.keep(at.log, note)
            RollbackGuard(writer=store.log_writer, reader=store.log_reader, keeper=keeper).check(
                at.log
            )
    except (LogRolledBackError, TranslogError, SignatureInvalidError) as error:
        return str(error)
    return None


def checked_head(at: LogAt, note: str) -> Checkpoint:
    """Return what a checkpoint of this log says, once a key of the log was found to have signed it.

    Raises:
        TranslogError, SignatureInvalidError.
    """
    name = at.unverified_head.origin
    origin = Checkpoint.parse(Note.parse(note).unverified_text).origin
    if not at.has_origin(origin):
        raise OtherLogError(f"the checkpoint is of the log {origin!r}")
    for spki in at.keys:
        try:
            return open_checkpoint(note, origin=origin, name=name, spki=spki)
        except SignatureInvalidError:
            continue
    raise SignatureInvalidError(f"no key of {name} that the backup knows has signed the checkpoint")


def _keys(directory: Path, manifest: Manifest, versions: Sequence[KeyVersion]) -> Iterator[Check]:
    configured = {
        (token.label, token.serial): token
        for token in Settings.from_environment(need_token=False).tokens
    }
    elsewhere = {version.subject: version for version in versions}
    for held in manifest.tokens:
        if not held.held:
            continue
        here = [version for version in versions if _lies_on(version, held)]
        for version in here:
            elsewhere.pop(version.subject, None)
        token = configured.get((held.label, held.serial))
        if token is None:
            what = "the settings name no such token"
            yield Check(f"token {held.label}", Outcome.UNKNOWN, what)
            continue
        try:
            for found in look_in_copy(directory / manifests.TOKENS, token, here):
                outcome, words = _OUTCOMES[found.presence]
                detail = f"{words}: {found.detail}" if found.detail else words
                yield Check(f"key {found.subject}", outcome, detail)
        except HSMUnavailableError as error:
            yield Check(f"token {held.label}", Outcome.UNKNOWN, str(error))
    for version in elsewhere.values():
        names = ", ".join(sorted({place.token for place in version.locations}))
        what = f"on {names}, which is not in this backup: back it up by the HSM's own means"
        yield Check(f"key {version.subject}", Outcome.NOTE, what)


def _lies_on(version: KeyVersion, held: TokenAt) -> bool:
    return any(
        place.token == held.label and held.serial in (None, place.serial)
        for place in version.locations
    )
