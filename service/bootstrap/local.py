"""What runs on the service's own machine without its API: no keys, no approvals, ever."""

from __future__ import annotations

from service.bootstrap.api import registry_book
from service.bootstrap.policy_file import read_policy
from service.bootstrap.settings import Settings
from service.bootstrap.timestamps import timestamp_config
from service.domain.callers import Credential
from service.domain.clock import SystemClock
from service.domain.errors import ConfigurationError, SchemaUnsupportedError
from service.operations.credentials import make_first_admin
from service.store import Store
from service.store.health import SchemaState
from service.store.migrate import upgrade
from service.witnesses import load_witnesses


def upgrade_database() -> SchemaState:
    """Bring the store's schema to this version, unless it is a newer one that will do.

    Raises:
        ConfigurationError, SchemaUnsupportedError, StoreUnavailableError.
    """
    settings = Settings.from_environment(need_token=False)
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return upgrade(settings.database_url)


def schema_of_database() -> SchemaState:
    """Return the schema that the store has; none where it was never migrated.

    Raises:
        ConfigurationError, StoreUnavailableError.
    """
    store = Store(Settings.from_environment(need_token=False).database_url)
    try:
        return store.health.schema()
    except SchemaUnsupportedError:
        return SchemaState(None, None)
    finally:
        store.close()


def check_configuration() -> list[str]:
    """Return every fault of the settings and of the files that they name; none means good."""
    settings, faults = Settings.review_environment()
    if settings.policy_file is not None:
        try:
            read_policy(settings.policy_file)
        except ConfigurationError as error:
            faults += (f"policy: {fault}" for fault in error.faults)
    if settings.witnesses_file is not None:
        try:
            load_witnesses(settings.witnesses_file)
        except ConfigurationError as error:
            faults += (f"witnesses: {fault}" for fault in error.faults)
    try:
        registry_book(settings)
    except ConfigurationError as error:
        faults += (f"registries: {fault}" for fault in error.faults)
    try:
        timestamp_config(settings)
    except ConfigurationError as error:
        faults += error.faults
    return faults


def first_admin(name: str, person: str) -> tuple[Credential, str]:
    """Make the first admin. Raises AdminExistsError once there is one."""
    store = Store(Settings.from_environment(need_token=False).database_url)
    try:
        return make_first_admin(store.credentials, SystemClock(), name=name, person=person)
    finally:
        store.close()
