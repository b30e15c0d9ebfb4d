"""A primary and its synchronous standby, on two loopback ports, and the fail-over between them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.ports import free_port
from tests.support.postgres_server import PostgresServer

DATABASE = "sealwright"
FAST = signal.SIGINT  # clients are told, and cut off
IMMEDIATE = signal.SIGQUIT  # as a crash: the next start recovers from the log


@dataclass
class PostgresPair:
    """Who is primary changes; where the two are does not."""

    primary: PostgresServer
    standby: PostgresServer

    def __post_init__(self) -> None:
        hosts = (self.primary, self.standby)
        places = ",".join(f"127.0.0.1:{host.port}" for host in hosts)
        self.url = f"postgresql://postgres@{places}/{DATABASE}"
        """The same before and after a fail-over."""

    def synchronise(self) -> None:
        """Make the second one the standby of the first, without which that one commits nothing."""
        self.standby.follow(self.primary)
        self.standby.start()
        # After the copy: a standby that is promoted has nobody to wait for.
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.execute("SELECT pg_reload_conf()")
        self.wait_until_synchronous()

    def separate(self) -> None:
        """Let the primary go on without the standby, which gets nothing any more."""
        self.standby.execute("ALTER SYSTEM SET primary_conninfo = 'host=/nowhere'")
        self.standby.execute("SELECT pg_reload_conf()")
        self.primary.wait_for("NOT EXISTS (SELECT FROM pg_stat_replication)")
        self.primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.primary.execute("SELECT pg_reload_conf()")

    def wait_until_synchronous(self) -> None:
        self.primary.wait_for("'sync' IN (SELECT sync_state FROM pg_stat_replication)")

    def fail_over(self) -> None:
        """Lose the primary at once, and promote the standby."""
        self.primary.kill()
        self.primary, self.standby = self.standby, self.primary
        self.primary.execute("SELECT pg_promote()")
        self.primary.wait_for("NOT pg_is_in_recovery()")

    def restart(self, how: signal.Signals) -> None:
        self.primary.stop(how)
        self.primary.start()


@contextmanager
def postgres_pair() -> Iterator[PostgresPair]:
    pair = PostgresPair(PostgresServer(free_port()), PostgresServer(free_port()))
    try:
        pair.primary.make()
        pair.primary.start()
        pair.primary.execute(f"CREATE DATABASE {DATABASE}")
        pair.synchronise()
        yield pair
    finally:
        pair.standby.close()
        # It would wait for the standby.
        pair.primary.close()
