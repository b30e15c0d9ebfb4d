"""What a registry's answer means: kept apart are "no", "not allowed" and "nobody knows".

Error bodies follow OCI distribution 1.1, "Error Codes". A 404 counts as absence only where
the registry itself says so: a proxy's page, or a router that knows no such path, is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from service.domain.errors import (
    RegistryDeniedError,
    RegistryRefusedError,
    RegistryUnavailableError,
    ServiceError,
)

MAX_RETRY_AFTER_SECONDS: Final = 3600.0  # no registry may silence us for longer than that
_MAX_SHOWN_CHARS: Final = 200  # of a registry's own message, in our error's detail
_ABSENT: Final = frozenset(
    {"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_BLOB_UNKNOWN", "NOT_FOUND"}
)  # the last one is Harbor's
_API_VERSION: Final = "docker-distribution-api-version"
# Client errors by number that are not about what was asked, so that a later try may do.
_PASSING: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end. Header names are in lower case."""

    host: str
    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def error_codes(self) -> list[str]:
        return [code for code, _ in self._errors()]

    def says_absent(self) -> bool | None:
        """Whether this 404 is the registry's own; None where a body would be needed to tell."""
        if self.error_codes():
            return not _ABSENT.isdisjoint(self.error_codes())
        if self.content:
            return False
        return True if _API_VERSION in self.headers else None

    def refusal(self, doing: str, *, now: datetime, writing: bool) -> ServiceError:
        """Return the error that says why this answer is not the one that was hoped for."""
        detail = f"{self.host} answered {self.status} to {doing}{self._message()}"
        if self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return RegistryDeniedError(detail)
        client_error = 400 <= self.status < 500 and self.status not in _PASSING  # noqa: PLR2004 - RFC 9110, 15.5
        known = self.status != HTTPStatus.NOT_FOUND or bool(self.error_codes())
        if writing and client_error and known:
            return RegistryRefusedError(detail)
        return RegistryUnavailableError(
            detail, retry_after=retry_after(self.headers.get("retry-after"), now)
        )

    def _errors(self) -> list[tuple[str, str]]:
        try:
            listed = json.loads(self.content)["errors"]
            return [(str(e["code"]), str(e.get("message", ""))) for e in listed]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return []

    def _message(self) -> str:
        text = "; ".join(f"{code} {message}".strip() for code, message in self._errors())
        shown = "".join(c if c.isprintable() else " " for c in text)[:_MAX_SHOWN_CHARS]
        return f": {shown}" if shown else ""


def retry_after(text: str | None, now: datetime) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110, 10.2.3), or None."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:10])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        if moment.tzinfo is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
