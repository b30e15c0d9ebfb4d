"""How a command ends that could not do its work: what, why, cure, and the request id.

Written for somebody who is woken by it: one line each, no traceback.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Final

from service.cli.exits import EXITS, Exit, exit_for
from service.cli.output import warn
from service.cli.settings import debugging
from service.client import (
    ClientError,
    ProblemError,
    SettingsError,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.domain.errors import ServiceError, by_code

_CHECK_URL: Final = (
    "Check SEALWRIGHT_URL and the network; `sealwright doctor` on the service's machine tells more."
)


@dataclass(frozen=True, slots=True)
class Failure:
    what: str
    why: str
    cure: str
    exit: Exit
    request_id: str | None = None


def report(error: Exception) -> Exit:
    """Print what became of a command, and return the exit code."""
    failure = describe(error)
    warn(f"error: {failure.what}")
    warn(f"  why: {failure.why}")
    warn(f" cure: {failure.cure}")
    if failure.request_id is not None:
        warn(f"   id: {failure.request_id}")
    if debugging():
        warn("".join(traceback.format_exception(error)))
    return failure.exit


def describe(error: Exception) -> Failure:
    match error:
        case ProblemError():
            return _problem(error)
        case SettingsError():
            return Failure(
                "the settings of this command cannot be used",
                str(error),
                "Set SEALWRIGHT_URL, and SEALWRIGHT_TOKEN_FILE to the file of your credential.",
                Exit.USAGE,
            )
        case UnreachableError():
            return Failure("the service does not answer", str(error), _CHECK_URL, Exit.UNAVAILABLE)
        case UnexpectedAnswerError() | ClientError():
            return Failure(
                "what answered is not Sealwright", str(error), _CHECK_URL, Exit.UNAVAILABLE
            )
        case ServiceError():
            return Failure(error.title, str(error), error.cure, EXITS[type(error)])
        case _:
            return Failure(
                "something unforeseen happened in this command",
                f"{type(error).__name__}: {error}",
                "Report it. SEALWRIGHT_DEBUG=1 shows where it happened.",
                Exit.BUG,
            )


def _problem(error: ProblemError) -> Failure:
    problem = error.problem
    kind = by_code(problem.code)
    return Failure(
        what=f"{problem.title or problem.code} ({problem.code})",
        why=problem.detail or problem.title,
        cure=kind.cure if kind is not None else f"See /problems/{problem.code} of the service.",
        exit=exit_for(problem.code, retryable=problem.retryable),
        request_id=problem.request_id,
    )
