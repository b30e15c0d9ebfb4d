"""What a plug-in says when it fails: one line for whoever ran the other tool."""

from __future__ import annotations

from service.client.errors import ClientError, ProblemError, SettingsError, UnreachableError


class RefusedError(Exception):
    """The other tool asks for what this plug-in does not do, or not in this way."""


def told(error: ClientError | RefusedError) -> str:
    """Return what to tell, with where to look further."""
    match error:
        case ProblemError(problem=problem):
            more = f" (`sealwright explain {problem.code}` tells more)"
            return f"sealwright: {problem.code}: {problem.detail}{more}"
        case SettingsError():
            return f"sealwright: settings: {error}"
        case UnreachableError():
            return f"sealwright: the service does not answer: {error}"
        case _:
            return f"sealwright: {error}"
