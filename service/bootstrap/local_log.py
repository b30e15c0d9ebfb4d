"""What is done to the logs on the service's own machine: deriving them anew, and recovery."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from service.bootstrap.api import build_registries
from service.bootstrap.settings import Settings
from service.domain.clock import SystemClock
from service.domain.findings import SIGNATURE_NOT_LOGGED, NewFinding, Severity
from service.domain.log import LogName
from service.domain.public_keys import PublicKey
from service.domain.references import NO_REPOSITORY, Repository
from service.operations.log import (
    LoggedAtRegistries,
    Loss,
    OurSignatures,
    RecoverLog,
    RederiveLogs,
    Sightings,
    gather,
)
from service.registry import ReferrerListing, TagListing
from service.store import Store
from service.translog.logged import log_id
from service.translog.tiles import TILE_WIDTH, Tile, split_bundle
from service.witnesses import CheckpointFiles


def verify_store() -> list[str]:
    """Derive both logs anew from the store's records, and return what is wrong; none means sound.

    Raises:
        ConfigurationError, StoreUnavailableError.
    """
    store = Store(Settings.from_environment(need_token=False).database_url)
    try:
        return list(RederiveLogs(store.log_reader, store.log_reader)())
    finally:
        store.close()


def recover_log(
    *, audit: bool, tiles: Sequence[Path], repositories: Sequence[str]
) -> tuple[list[int], int]:
    """Put back what the store lacks of a log; return what was found nowhere, and how much was.

    Raises:
        ProofInvalidError: what was found is not what had been published; nothing is changed.
        ServiceError
    """
    settings = Settings.from_environment(need_token=False)
    log = LogName.AUDIT if audit else LogName.SIGNATURES
    with closing(Store(settings.database_url)) as store:
        recover = _recovery(settings, store)
        loss = recover.loss(log)
        if loss is None:
            return [], 0
        sources: list[Iterable[tuple[int, bytes]]] = [
            mirrored(directory, loss.positions) for directory in tiles
        ]
        if repositories:
            sources += _at_registries(settings, store, loss, repositories)
        found = gather(sources, loss)
        missing = recover.missing(loss, found)
        if not missing:
            recover.refill(loss, found)
        return missing, len(found)


def close_log(*, audit: bool) -> int:
    """End a log where the store has it; return how many entries go into the next. Raises ServiceError."""
    settings = Settings.from_environment(need_token=False)
    with closing(Store(settings.database_url)) as store:
        log = LogName.AUDIT if audit else LogName.SIGNATURES
        return _recovery(settings, store).close(log)


def signatures_at(
    repositories: Sequence[str], keys: Sequence[bytes], *, on_record: bool
) -> Sightings:
    """Return the signatures by these keys (DER) that lie in the repositories.

    With `on_record` in those, too, that the store's signatures are for.

    Raises:
        ConfigurationError, InvalidReferenceError, StoreUnavailableError.
    """
    settings = Settings.from_environment(need_token=False)
    wanted = [Repository.parse(name) for name in repositories]
    if on_record:
        with closing(Store(settings.database_url)) as store:
            # What plug-ins had signed may name no repository, so there is no place to look at.
            wanted += [r for r in store.journal.repositories() if r != NO_REPOSITORY]
    client = build_registries(settings, SystemClock())
    look = OurSignatures(TagListing(client), client, ReferrerListing(client))
    return look(list(dict.fromkeys(wanted)), [PublicKey.parse(key) for key in keys])


def report_unlogged(found: Iterable[tuple[str, str]]) -> None:
    """Open a critical finding for each key and place. Raises StoreUnavailableError."""
    settings = Settings.from_environment(need_token=False)
    with closing(Store(settings.database_url)) as store:
        for key, place in found:
            evidence = {"key": key, "place": place}
            store.findings.open(
                NewFinding(SIGNATURE_NOT_LOGGED, Severity.CRITICAL, f"{key} {place}", evidence)
            )


def mirrored(directory: Path, positions: range) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of a mirror's bundles, full or partial, that are among `positions`."""
    for index in range(positions.start // TILE_WIDTH, (positions.stop - 1) // TILE_WIDTH + 1):
        tile = Tile(None, index)
        file = directory / tile.path()
        partial = file.with_name(file.name + ".p")
        widths = [int(one.name) for one in partial.glob("[0-9]*")] if partial.is_dir() else []
        if file.is_file():
            width = TILE_WIDTH
        elif widths:
            width = max(widths)
            file = partial / str(width)
        else:
            continue
        for position, entry in enumerate(split_bundle(file.read_bytes(), width), tile.start):
            if position in positions:
                yield position, entry


def _recovery(settings: Settings, store: Store) -> RecoverLog:
    keeper = CheckpointFiles(settings.checkpoints_dir)
    return RecoverLog(store.log_writer, store.log_recovery, keeper, store.audit)


def _at_registries(
    settings: Settings, store: Store, loss: Loss, repositories: Sequence[str]
) -> Iterator[Iterable[tuple[int, bytes]]]:
    client = build_registries(settings, SystemClock())
    source = LoggedAtRegistries(TagListing(client), client, ReferrerListing(client))
    key = store.keys.get(loss.tree.key)
    versions = () if key is None else key.versions
    log_ids = frozenset(log_id(version.public_key) for version in versions)
    for name in repositories:
        yield source.entries(Repository.parse(name), log_ids=log_ids)
