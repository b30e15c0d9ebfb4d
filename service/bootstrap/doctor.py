"""`sealwright doctor`: asks each part in turn, names what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from service.bootstrap.api import build_keyring, build_registries
from service.bootstrap.local import check_configuration
from service.bootstrap.settings import Settings
from service.domain.clock import SystemClock
from service.domain.errors import ConfigurationError, ServiceError
from service.domain.log import LogName
from service.keyring import diagnose as diagnose_tokens
from service.operations.log import RollbackGuard
from service.ports.metrics import NoMeter
from service.registry import RegistryHealthCheck
from service.store import Store
from service.witnesses import CheckpointFiles

STORE_CURE: Final = (
    "Where there is no schema or an older one, `sealwright db upgrade` makes it; a newer one needs "
    "the newer program. Otherwise see that the database runs, that SEALWRIGHT_DATABASE_URL (for "
    "SQLite, SEALWRIGHT_STATE_DIR) leads to it, and that this user may write there."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One part that was asked: sound where `problem` is None."""

    what: str
    problem: str | None
    cure: str = ""


def diagnose() -> list[Finding]:
    """Ask configuration, store, tokens and registries; never raises for what it finds."""
    faults = check_configuration()
    if faults:
        cure = ConfigurationError.cure
        found = [Finding("configuration", fault, cure) for fault in faults]
    else:
        found = [Finding("configuration", None)]
    try:
        settings = Settings.from_environment(need_token=False)
    except ConfigurationError:
        return found
    return [*found, *_store_and_tokens(settings), *_registries(settings)]


def _store_and_tokens(settings: Settings) -> Iterator[Finding]:
    store = Store(settings.database_url)
    try:
        try:
            store.health.check()
        except ServiceError as error:
            yield Finding("store", _in_full(error), STORE_CURE)
            # The latch that keeps a refused PIN from being tried again is in the store.
            yield Finding(
                "token", "not asked: the PIN latch is in the store", "Mend the store first."
            )
            return
        yield Finding("store", None)
        yield from _logs(settings, store)
        try:
            keyring = build_keyring(settings, store, SystemClock(), NoMeter())
        except ConfigurationError as error:
            yield Finding("PIN latch secret", str(error), error.cure)
            return
        for what, problem, cure in diagnose_tokens(keyring):
            yield Finding(what, problem, cure)
    finally:
        store.close()


def _in_full(error: ServiceError) -> str:
    """Return what is shown to callers, and the database's own first words, for its operator."""
    cause = error.__cause__
    if cause is None:
        return str(error)
    words = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
    return f"{error}: {words}" if words else str(error)


def _logs(settings: Settings, store: Store) -> Iterator[Finding]:
    guard = RollbackGuard(
        writer=store.log_writer,
        reader=store.log_reader,
        keeper=CheckpointFiles(settings.checkpoints_dir),
    )
    for log in LogName:
        try:
            guard.check(log)
        except ServiceError as error:
            yield Finding(f"log {log}", str(error), error.cure)
        else:
            yield Finding(f"log {log}", None)


def _registries(settings: Settings) -> Iterator[Finding]:
    try:
        registry = build_registries(settings, SystemClock())
    except ConfigurationError:
        return  # told as a fault of the configuration
    for host, problem in RegistryHealthCheck(registry).check():
        cure = "Look at the registry, and at its entry in the registries file."
        yield Finding(f"registry {host}", problem, cure)
