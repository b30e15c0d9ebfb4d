"""One request and its answer: bounded in time and size, never redirected.

A redirect would carry the bearer token to wherever the answer points, so none is followed.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.client.errors import Problem, ProblemError, UnexpectedAnswerError, UnreachableError
from service.client.settings import ClientSettings

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024  # 1,000 items with their artifacts are a tenth of it
MAX_RETRY_AFTER: Final = 3600.0
USER_AGENT: Final = "sealwright"
_SUCCESS: Final = range(200, 300)  # RFC 9110, 15.3
_REDIRECTION: Final = range(300, 400)  # RFC 9110, 15.4


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    content_type: str
    content: bytes
    retry_after: float | None
    request_id: str | None

    def json(self) -> dict[str, Any]:
        """Return the JSON object. Raises UnexpectedAnswerError if it is none."""
        try:
            value = json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise UnexpectedAnswerError(f"status {self.status}, and not JSON") from error
        if not isinstance(value, dict):
            raise UnexpectedAnswerError(f"status {self.status}, and not a JSON object")
        return value

    @property
    def is_problem(self) -> bool:
        return self.content_type == "application/problem+json"

    @property
    def has_results(self) -> bool:
        """Whether this is an answer to signing with its results, whatever their status."""
        return self.content_type == "application/json" and isinstance(
            self.json().get("results"), list
        )

    def successful(self) -> Answer:
        """Return the answer if it is a success.

        Raises:
            ProblemError, UnexpectedAnswerError.
        """
        if self.is_problem:
            raise self.problem()
        if self.status not in _SUCCESS:
            raise UnexpectedAnswerError(f"status {self.status} without a problem document")
        return self

    def results_or_problem(self) -> dict[str, Any]:
        """Return the results of signing, also of one that failed in part or as a whole.

        Raises:
            ProblemError, UnexpectedAnswerError.
        """
        return self.json() if self.has_results else self.successful().json()

    def problem(self) -> ProblemError:
        """Return the problem document as an error to raise."""
        body = self.json()
        code, errors = body.get("code"), body.get("errors")
        if not isinstance(code, str):
            raise UnexpectedAnswerError(f"status {self.status}, and a problem without a code")
        return ProblemError(
            Problem(
                code=code,
                title=str(body.get("title", "")),
                detail=str(body.get("detail", "")),
                status=self.status,
                request_id=self.request_id,
                retryable=body.get("retryable") is True,
                errors=errors if isinstance(errors, dict) else {},
            ),
            retry_after=self.retry_after,
        )


class Transport:
    """Sends requests, each over a connection of its own."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Raises UnreachableError; UnexpectedAnswerError for a redirect or an endless answer."""
        settings = self._settings
        sent = {"Accept": "application/json", "User-Agent": USER_AGENT, **(headers or {})}
        if settings.token is not None:
            sent["Authorization"] = f"Bearer {settings.token}"
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, settings.path + path, body=content, headers=sent)
            with connection.getresponse() as response:
                return _read(response)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(_why(error, settings)) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        settings = self._settings
        if not settings.tls:
            return http.client.HTTPConnection(
                settings.host, settings.port, timeout=settings.timeout
            )
        if self._tls is None:
            try:
                self._tls = ssl.create_default_context(cafile=settings.ca_file)
            except OSError as error:
                raise UnreachableError(f"SEALWRIGHT_CA_FILE cannot be used: {error}") from error
        return http.client.HTTPSConnection(
            settings.host, settings.port, timeout=settings.timeout, context=self._tls
        )


def _read(response: http.client.HTTPResponse) -> Answer:
    if response.status in _REDIRECTION:
        raise UnexpectedAnswerError(f"status {response.status}: redirects are not followed")
    content = response.read(MAX_ANSWER_BYTES + 1)
    if len(content) > MAX_ANSWER_BYTES:
        raise UnexpectedAnswerError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
    # read(n) says nothing of an answer that ends early; `length` is what is still to come.
    if response.length:
        raise UnreachableError("the answer broke off")
    return Answer(
        status=response.status,
        content_type=response.headers.get_content_type(),
        content=content,
        retry_after=_seconds(response.headers.get("Retry-After")),
        request_id=response.headers.get("X-Request-Id"),
    )


def _seconds(text: str | None) -> float | None:
    """Return Retry-After in its form of seconds; the service sends no dates."""
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    return min(float(text), MAX_RETRY_AFTER)


def _why(error: Exception, settings: ClientSettings) -> str:
    place = f"{settings.host}:{settings.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {place} is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"{place} did not answer within {settings.timeout:g} s"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"{place} cannot be reached: {text or type(error).__name__}"
