"""The background loops: one delivers what the outbox holds, with chores in between; one runs jobs.

What has begun is finished before a loop ends: a round of deliveries, a part of a job.
"""

from __future__ import annotations

import logging
import time
from threading import Event, Thread
from typing import Final

from service.domain.errors import ServiceError
from service.domain.ids import new_id
from service.operations.deliver import DeliverAttachments
from service.operations.run_jobs import RunJobs
from service.worker.chores import Chore, Chores

__all__ = ["DRAIN_SECONDS", "LOOPS", "Chore", "Chores", "Loops", "run_jobs", "run_loop"]

log = logging.getLogger(__name__)

LOOPS: Final = "sealwright-loops"
"""The name under which an application keeps the loops that must end with its process."""

IDLE_SECONDS: Final = 0.5  # how late a due order may be noticed
TROUBLE_SECONDS: Final = 2.0  # between attempts while the store is away
DRAIN_SECONDS: Final = 20.0  # for what has begun when the end is asked for; leases see to the rest


class Loops:
    """Both loops as threads of this process, from `start` until `end`."""

    def __init__(
        self, deliver: DeliverAttachments, chores: Chores, jobs: RunJobs, upkeep: Chores
    ) -> None:
        self._stop: Final = Event()
        # Daemons: what they hold when the process ends all the same is claimed again by lease.
        self._threads: Final = (
            Thread(target=run_loop, args=(deliver, chores, self._stop), name="worker", daemon=True),
            Thread(target=run_jobs, args=(jobs, upkeep, self._stop), name="jobs", daemon=True),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask both to end, and wait for what they have begun, but not for ever."""
        self._stop.set()
        deadline = time.monotonic() + DRAIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def run_jobs(jobs: RunJobs, upkeep: Chores, stop: Event) -> None:
    """Run what is due, one job after the other, with `upkeep` in between, until `stop` is set."""
    owner = new_id("job")
    while not stop.is_set():
        upkeep.run_due()
        try:
            ran = jobs.run_once(owner=owner, stopping=stop.is_set)
        except ServiceError as error:
            log.warning(
                "worker cannot claim a job", extra={"code": error.code, "detail": str(error)}
            )
            stop.wait(TROUBLE_SECONDS)
            continue
        except Exception:
            # As below: the lease runs out, and the job is tried again.
            log.exception("a job's end could not be recorded")
            stop.wait(TROUBLE_SECONDS)
            continue
        if not ran:
            stop.wait(IDLE_SECONDS)


def run_loop(deliver: DeliverAttachments, chores: Chores, stop: Event) -> None:
    """Deliver what is due until `stop` is set; what has begun is finished.

    Any number of these may run in any number of processes: orders are claimed by lease.
    """
    owner = new_id("wrk")
    log.info("worker started", extra={"owner": owner})
    while not stop.is_set():
        chores.run_due()
        try:
            delivered = deliver.run_once(owner=owner)
        except ServiceError as error:
            log.warning("worker cannot claim", extra={"code": error.code, "detail": str(error)})
            stop.wait(TROUBLE_SECONDS)
            continue
        except Exception:
            # A bug in one round must not end delivery for good; it is logged with its cause.
            log.exception("worker round failed")
            stop.wait(TROUBLE_SECONDS)
            continue
        if not delivered:
            stop.wait(IDLE_SECONDS)
    log.info("worker stopped", extra={"owner": owner})
