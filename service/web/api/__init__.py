"""One module a resource; each declares its endpoints in `routes`."""

from __future__ import annotations

from service.web.api import (
    approvals,
    attachments,
    audit_log,
    certificates,
    credentials,
    custody,
    documentation,
    findings,
    health,
    jwks,
    keys,
    log,
    lookaside,
    metrics,
    minutes,
    outbox,
    policy,
    problems,
    signatures,
    slots,
    timestamps,
    trust,
    verifications,
    withdrawals,
)

RESOURCES = (
    signatures.routes,
    verifications.routes,
    keys.routes,
    certificates.routes,
    custody.routes,
    jwks.routes,
    lookaside.routes,
    attachments.routes,
    outbox.routes,
    slots.routes,
    timestamps.routes,
    findings.routes,
    log.routes,
    audit_log.routes,
    trust.routes,
    withdrawals.routes,
    credentials.routes,
    approvals.routes,
    minutes.routes,
    policy.routes,
    health.routes,
    metrics.routes,
    problems.routes,
    documentation.routes,
)

__all__ = ["RESOURCES"]
