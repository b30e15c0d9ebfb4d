"""What custodians were refused, told in the audit trail: what is done has an event of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.domain.errors import ServiceError
from service.ports.store import AuditTrail


@contextmanager
def refusals_told(audit: AuditTrail, caller: Caller, subject: str, what: str) -> Iterator[None]:
    """Record the refusal of what the block does; what could not be done now is none."""
    try:
        yield
    except ServiceError as error:
        if not error.retryable:
            details = {"act": what, "code": error.code, "detail": str(error)[:500]}
            audit.append([AuditEvent("custody.refused", caller.name, subject[:200], details)])
        raise
