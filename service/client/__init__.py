"""HTTP client of Sealwright's own API, on the standard library alone."""

from service.client.client import SealwrightClient
from service.client.errors import (
    ClientError,
    ProblemError,
    SettingsError,
    UnexpectedAnswerError,
    UnreachableError,
)
from service.client.settings import ClientSettings

__all__ = [
    "ClientError",
    "ClientSettings",
    "ProblemError",
    "SealwrightClient",
    "SettingsError",
    "UnexpectedAnswerError",
    "UnreachableError",
]
