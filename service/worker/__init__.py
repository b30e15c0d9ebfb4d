"""The background loop: delivers what the outbox holds, and does chores in between."""

from __future__ import annotations

import logging
from threading import Event
from typing import Final

from service.domain.errors import ServiceError
from service.domain.ids import new_id
from service.operations.deliver import DeliverAttachments
from service.worker.chores import Chore, Chores

__all__ = ["Chore", "Chores", "run_loop"]

log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5  # how late a due order may be noticed
TROUBLE_SECONDS: Final = 2.0  # between attempts while the store is away


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
            log.warning("worker cannot claim", extra={"code": error.code})
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
