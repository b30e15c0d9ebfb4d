"""`sealwright worker`: the loops of delivery and of jobs as a process of its own."""

from __future__ import annotations

import signal
import sys
from threading import Event, Thread
from types import FrameType

from service.bootstrap.api import build, registry_book
from service.bootstrap.ending import leave_at_once
from service.bootstrap.memory import share_arenas
from service.bootstrap.policy_file import read_policy
from service.bootstrap.settings import Settings, name_roles
from service.bootstrap.timestamps import timestamp_config
from service.domain.errors import SchemaUnsupportedError, StoreUnavailableError
from service.domain.serving import ServerRole
from service.store import Store
from service.web.logs import configure
from service.witnesses import load_witnesses
from service.worker import DRAIN_SECONDS, run_jobs, run_loop


def run() -> None:
    """Deliver until SIGTERM or SIGINT; what has begun is finished."""
    # Whatever servers are told that share this environment.
    name_roles(ServerRole.WORKER)
    settings = Settings.from_environment()
    checked_files(settings)
    checked_schema(settings)
    share_arenas()
    configure(sys.stderr, level=settings.log_level)
    stop = Event()

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    service = build(settings)
    service.keyring.start()
    arguments = (service.jobs, service.upkeep, stop)
    jobs = Thread(target=run_jobs, args=arguments, name="jobs", daemon=True)
    jobs.start()
    run_loop(service.deliver, service.chores, stop)
    jobs.join(DRAIN_SECONDS)
    # Nobody asked for this end, so that a supervisor which tells failures apart sees one.
    leave_at_once(1)


def checked_files(settings: Settings) -> None:
    """Read every file that the settings name.

    Raises:
        ConfigurationError: with the faults of the first file that is wrong.
    """
    if settings.policy_file is not None:
        read_policy(settings.policy_file)
    if settings.witnesses_file is not None:
        load_witnesses(settings.witnesses_file)
    registry_book(settings)
    timestamp_config(settings)


def checked_schema(settings: Settings) -> None:
    """Look at the database's schema; one that does not answer now may do so later.

    Raises:
        ConfigurationError
        SchemaUnsupportedError: this program does not work with it.
    """
    store = Store(settings.database_url)
    try:
        store.health.schema().require_support()
    except SchemaUnsupportedError:
        raise
    except StoreUnavailableError:
        return
    finally:
        store.close()
