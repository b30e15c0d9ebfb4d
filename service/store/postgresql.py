"""Connections to PostgreSQL through psycopg, and transactions that are tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Dialect, Engine, ExceptionContext, create_engine, event
from sqlalchemy.exc import DBAPIError

from service.store.faults import is_disconnect, is_transient, is_turned_read_only

T = TypeVar("T")

POOL_SIZE: Final = 8  # a gthread worker has about so many threads
MAX_OVERFLOW: Final = 8  # the fan-out of deliveries on top
POOL_SECONDS: Final = 5.0
LOCK_SECONDS: Final = 10  # behind another transaction; ours last milliseconds
ATTEMPTS: Final = 6  # of a transaction that lost a deadlock or a serialization
PAUSE_SECONDS: Final = 0.01
CONNECTING: Final[Mapping[str, str]] = MappingProxyType(
    {
        "connect_timeout": "5",  # seconds, for each host
        # A server that vanishes with its machine ends no connection: the kernel finds out, by
        # asking (after 5 seconds without a word, then each 2), or by what nobody acknowledges.
        # A server that is only slow acknowledges.
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
        "tcp_user_timeout": "10000",  # milliseconds
    }
)
"""libpq's settings (its documentation, section 34.1.2) where the URL says nothing else."""


def engine(url: URL) -> Engine:
    """Return an engine that opens nothing before its first use."""
    made = create_engine(
        url,
        isolation_level="READ COMMITTED",  # whatever the server's default is
        pool_size=POOL_SIZE,
        max_overflow=MAX_OVERFLOW,
        pool_timeout=POOL_SECONDS,
        pool_use_lifo=True,
        # They would override the URL.
        connect_args={name: CONNECTING[name] for name in CONNECTING.keys() - url.query.keys()},
        use_native_hstore=False,
    )
    if "," in url.query.get("host", "") and "hostaddr" not in url.query:
        hosts = _Hosts()
        event.listen(made, "do_connect", hosts.connect)
        event.listen(made, "connect", hosts.remember)
    event.listen(made, "connect", _prepare)
    event.listen(made, "handle_error", _let_go)
    return made


class _Hosts:
    """Asks the host first that answered last: one that has vanished costs its time-out once."""

    def __init__(self) -> None:
        self._host, self._port = "", ""

    def connect(
        self, dialect: Dialect, record: object, arguments: object, wanted: Mapping[str, Any]
    ) -> Any:
        places = list(zip(wanted["host"].split(","), wanted["port"].split(","), strict=True))
        # The others stay in the order of the URL, where no port stands for the usual one.
        places.sort(key=lambda p: p[0] != self._host or p[1] not in {"", self._port})
        hosts, ports = (",".join(each) for each in zip(*places, strict=True))
        return dialect.connect(**{**wanted, "host": hosts, "port": ports})

    def remember(self, connection: Any, record: object) -> None:
        self._host, self._port = connection.info.host, str(connection.info.port)


def _prepare(connection: Any, record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    connection.commit()


def _let_go(context: ExceptionContext) -> None:
    """Count a connection as dead whose server has become a standby: another host takes writes."""
    if is_turned_read_only(context.original_exception):
        context.is_disconnect = True


def transact(engine: Engine, run: Callable[[Connection], T]) -> T:
    """Run one transaction, again where the database chose it as the victim of a conflict.

    A connection that turns out to be dead before COMMIT was sent is replaced once: a
    restarted server leaves a pool full of them. What fails at COMMIT is never repeated
    here, because nobody knows whether it happened.
    """
    reconnected = False
    for attempt in range(1, ATTEMPTS + 1):
        committing = False
        try:
            with engine.connect() as connection, connection.begin() as transaction:
                result = run(connection)
                committing = True
                transaction.commit()
                return result
        except DBAPIError as error:
            if is_transient(error) and attempt < ATTEMPTS:
                # Jittered, or the same transactions would meet again.
                time.sleep(PAUSE_SECONDS * attempt * random.uniform(0.5, 1.5))  # noqa: S311
            elif is_disconnect(error) and not committing and not reconnected:
                reconnected = True
            else:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")
