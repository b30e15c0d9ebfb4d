"""Roles of a process: which part of the service's work it does. Callers' roles are another matter."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ServerRole(StrEnum):
    SIGN = "sign"
    """What build systems call: signatures, attestations, time stamps, and the state of each."""
    VERIFY = "verify"
    """Verification, and what verifiers read. It reaches no HSM."""
    MANAGE = "manage"
    """Keys, credentials, approvals, findings and the audit log: what people call."""
    WORKER = "worker"
    """Deliveries, jobs and the upkeep of the logs, which nobody calls."""


EVERY_ROLE: Final = frozenset(ServerRole)

_WITHOUT_HSM: Final = frozenset({ServerRole.VERIFY})


def reach_hsm(roles: frozenset[ServerRole]) -> bool:
    """Whether a process of these roles needs an HSM. One that needs none is given no PIN either."""
    return bool(roles - _WITHOUT_HSM)
