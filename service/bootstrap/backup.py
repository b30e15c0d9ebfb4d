"""`sealwright backup create`: the store, SoftHSM's token, and what the logs had published, whole.

The store is copied first and the token after it. A key is on the token before the store knows of
it, and gone from the token only after the store has said so: so each key that the copied store
lets sign is on the copied token. The other way round a key that was made in between would be on
record and lost for good.

A backup is a directory, so that it is verified in place and the store's own tools read it; what
packs, encrypts or carries it away takes it from there. No PIN is in it: together with a PIN the
token's files are the keys.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

from service.bootstrap.settings import Settings
from service.domain.clock import SystemClock
from service.domain.log import LogName
from service.formats import backup_manifest as manifests
from service.formats.backup_manifest import CopiedFile, LogAt, Manifest, TokenAt
from service.keyring import copy_tokens, is_softhsm, token_directory
from service.store import Store
from service.store.copies import copy_out, is_postgresql

_CHUNK: Final = 1024 * 1024


class BackupRefusedError(Exception):
    """What was asked for would mix with what is there, or cannot be meant; nothing was done."""


def create_backup(target: Path) -> Manifest:
    """Write a backup to the new directory `target`, which appears whole or not at all.

    Raises:
        BackupRefusedError: the target exists, or has no place to be.
        ConfigurationError, HSMUnavailableError, SchemaUnsupportedError, StoreUnavailableError.
    """
    settings = Settings.from_environment(need_token=False)
    target = target.absolute()
    if os.path.lexists(target):
        raise BackupRefusedError(f"{target} exists")
    if not target.parent.is_dir():
        raise BackupRefusedError(f"{target.parent} is no directory")
    making = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        making.mkdir(mode=0o700)
        made = _fill(making, settings)
        sync_directories(making)
        making.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise BackupRefusedError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return made


def _fill(directory: Path, settings: Settings) -> Manifest:
    url = settings.database_url
    moment = SystemClock().now()
    with closing(Store(url)) as store:
        schema = store.health.schema()
        schema.require_support()
        # Before the copy: so the copy holds all that these checkpoints cover.
        logs = tuple(_published(store))
    store_file = manifests.STORES[is_postgresql(url)]
    copy_out(url, directory / store_file)
    tokens = tuple(
        TokenAt(token.label, token.serial, is_softhsm(token.module)) for token in settings.tokens
    )
    if any(token.held for token in tokens):
        copy_tokens(token_directory(settings.softhsm_conf), directory / manifests.TOKENS)
    made = Manifest(
        made_at=moment,
        program=version("sealwright"),
        schema=str(schema.revision),
        store=store_file,
        files=tuple(_described(path, directory) for path in files_in(directory)),
        logs=logs,
        tokens=tokens,
    )
    file = directory / manifests.NAME
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
        written.write(made.dump())
        written.flush()
        os.fsync(written.fileno())
    return made


def _published(store: Store) -> Iterator[LogAt]:
    for log in LogName:
        tree, head = store.log_writer.tree(log), store.log_reader.newest(log)
        key = None if tree is None else store.keys.get(tree.key)
        if head is not None and key is not None:
            yield LogAt(log, head.note, tuple(each.public_key for each in key.versions))


def files_in(directory: Path) -> list[Path]:
    """Return everything below the directory that is no directory, links and all."""
    return sorted(path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())


def digest_of(file: Path) -> str:
    hashed = sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


def _described(path: Path, directory: Path) -> CopiedFile:
    return CopiedFile(path.relative_to(directory).as_posix(), path.stat().st_size, digest_of(path))


def sync_directories(top: Path) -> None:
    """Make durable which files there are; their contents are already."""
    for directory in (*(path for path in top.rglob("*") if path.is_dir()), top):
        _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
