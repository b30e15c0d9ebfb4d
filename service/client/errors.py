"""What can go wrong between this client and the service: one small tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class ClientError(Exception):
    """Base of everything that the client raises on purpose."""


class SettingsError(ClientError):
    """The client's own settings cannot be used; `faults` lists every one."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class UnreachableError(ClientError):
    """No answer came: no connection, silence, or one that broke off. Nobody knows what was done."""


class UnexpectedAnswerError(ClientError):
    """An answer came, and it is not one of this API: perhaps something else answers there."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document (RFC 9457) as the service sends it."""

    code: str
    title: str
    detail: str
    status: int
    request_id: str | None
    retryable: bool
    errors: Mapping[str, Any]


class ProblemError(ClientError):
    """The service answered with a problem document."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem
        self.retry_after = retry_after
