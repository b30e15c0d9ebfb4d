"""Errors as HTTP: the one table, and the one place that writes problem documents (RFC 9457).

Guarantees: each class of the tree of `service.domain.errors` has a status (a test walks the
tree); every 429, every 503 and every retryable error carries Retry-After (RFC 9110, 10.2.3);
what nobody foresaw becomes `internal`, which shows nothing but the request id.
"""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from flask import Flask, Response
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from service.domain import errors
from service.domain.errors import ServiceError
from service.web.context import request_id
from service.web.responses import answer

PROBLEM_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5  # where the error knows no better: long enough for a restart of a part
RETRY_SECONDS_BY_HAND: Final = 60  # where only an operator can mend it: no use in asking sooner

log = logging.getLogger(__name__)

STATUS: Final = MappingProxyType(
    {
        errors.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
        errors.ForbiddenError: HTTPStatus.FORBIDDEN,
        errors.PolicyDeniedError: HTTPStatus.FORBIDDEN,
        errors.InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.MalformedBodyError: HTTPStatus.BAD_REQUEST,
        errors.BodyTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        errors.UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        errors.NotAcceptableError: HTTPStatus.NOT_ACCEPTABLE,
        errors.NotFoundError: HTTPStatus.NOT_FOUND,
        errors.NotServedHereError: HTTPStatus.MISDIRECTED_REQUEST,
        errors.MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
        errors.InvalidReferenceError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.TagDigestMismatchError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.ImageNotFoundError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.DescriptorMismatchError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.PayloadNotSignableError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.PredicateNotAllowedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.MadeByAnotherToolError: HTTPStatus.CONFLICT,
        errors.IndexNotFollowedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.UnsupportedFormatError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.InvalidPredicateError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.RequestInProgressError: HTTPStatus.CONFLICT,
        errors.KeyNotFoundError: HTTPStatus.NOT_FOUND,
        errors.KeyExistsError: HTTPStatus.CONFLICT,
        errors.KeyNotNamedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.KeyNotUsableError: HTTPStatus.CONFLICT,
        errors.KeyMoveForbiddenError: HTTPStatus.CONFLICT,
        errors.PublicKeyTakenError: HTTPStatus.CONFLICT,
        errors.LogKeyMissingError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.TimestampKeyMissingError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.TimestampUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.CertificateNotFoundError: HTTPStatus.NOT_FOUND,
        errors.CertificateChainRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.CertificateSubjectTakenError: HTTPStatus.CONFLICT,
        errors.CertificateAuthorityNotUsableError: HTTPStatus.CONFLICT,
        errors.UnsupportedAlgorithmError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.KeyUnprotectedError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.KeyNotAdoptableError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.TokenNotFoundError: HTTPStatus.NOT_FOUND,
        errors.HSMUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.HSMRefusedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.HSMQuarantinedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.PINRefusedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.KeyMissingOnTokenError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.SignatureCheckFailedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.RegistryNotConfiguredError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.RegistryUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.RegistryDeniedError: HTTPStatus.BAD_GATEWAY,
        errors.RegistryRefusedError: HTTPStatus.BAD_GATEWAY,
        errors.AttachConflictError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.ApprovalNotPendingError: HTTPStatus.CONFLICT,
        errors.AlreadyApprovedError: HTTPStatus.CONFLICT,
        errors.ApprovalStaleError: HTTPStatus.CONFLICT,
        errors.ApproverInvalidError: HTTPStatus.CONFLICT,
        errors.ApprovalInterruptedError: HTTPStatus.CONFLICT,
        errors.ApprovalSignatureRequiredError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.ApprovalSignatureInvalidError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.SSHKeyMissingError: HTTPStatus.UNPROCESSABLE_ENTITY,
        errors.NothingToLoosenError: HTTPStatus.CONFLICT,
        errors.StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.SchemaUnsupportedError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.RateLimitedError: HTTPStatus.TOO_MANY_REQUESTS,
        errors.LogUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.LogRolledBackError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.LeaseLostError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.MaintenanceError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.RecordDamagedError: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.TooManyJobsError: HTTPStatus.TOO_MANY_REQUESTS,
        errors.BusyError: HTTPStatus.SERVICE_UNAVAILABLE,
        errors.CredentialExistsError: HTTPStatus.CONFLICT,
        errors.AdminExistsError: HTTPStatus.CONFLICT,
        errors.ConfigurationError: HTTPStatus.INTERNAL_SERVER_ERROR,
        errors.InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)

_FROM_HTTP: Final = MappingProxyType(
    {
        HTTPStatus.NOT_FOUND: errors.NotFoundError,
        HTTPStatus.METHOD_NOT_ALLOWED: errors.MethodNotAllowedError,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.BodyTooLargeError,
        HTTPStatus.BAD_REQUEST: errors.MalformedBodyError,
    }
)
"""What werkzeug raises by itself, as ours; anything else it raises is unforeseen."""


def status_of(error: ServiceError) -> HTTPStatus:
    return STATUS[type(error)]


def retry_after(error: ServiceError) -> int | None:
    """Return whole seconds for Retry-After, or None where it has no place."""
    if error.retryable:
        return _whole_seconds(error.retry_after, RETRY_SECONDS)
    if status_of(error) in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        return _whole_seconds(error.retry_after, RETRY_SECONDS_BY_HAND)
    return None


def _whole_seconds(seconds: float | None, default: int) -> int:
    return default if seconds is None else max(1, math.ceil(seconds))


def document(error: ServiceError) -> dict[str, object]:
    """Return the problem document of `error` for the request that is being answered."""
    body: dict[str, object] = {
        "type": f"/problems/{error.code}",
        "title": error.title,
        "status": status_of(error),
        "detail": str(error),
        "code": error.code,
        "request_id": request_id(),
        "retryable": error.retryable,
    }
    match error:
        case (
            errors.InvalidRequestError(errors=faults) | errors.InvalidPredicateError(errors=faults)
        ) if faults:
            body["errors"] = faults
        case (
            errors.ForbiddenError(reasons=reasons)
            | errors.PolicyDeniedError(reasons=reasons)
            | errors.CertificateChainRefusedError(reasons=reasons)
        ):
            body["reasons"] = reasons
        case errors.KeyMoveForbiddenError(allowed=allowed):
            body["allowed"] = allowed
        case _:
            pass
    return body


def _by_field(error: ValidationError) -> dict[str, object]:
    messages = _with_text_names(error.messages)
    return messages if isinstance(messages, dict) else {"_schema": messages}


def _with_text_names(messages: object) -> object:
    """Return marshmallow's messages with the indexes of lists as text, as JSON needs names."""
    if isinstance(messages, dict):
        return {str(name): _with_text_names(inner) for name, inner in messages.items()}
    return messages


def problem(error: ServiceError) -> Response:
    headers: dict[str, str] = {}
    seconds = retry_after(error)
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    if isinstance(error, errors.UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="sealwright"'
    return answer(document(error), status_of(error), content_type=PROBLEM_TYPE, headers=headers)


def init_app(app: Flask) -> None:
    """Make every failure of every request leave as a problem document."""

    def expected(error: ServiceError) -> Response:
        if error.__cause__ is not None and status_of(error) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # The text is for the caller; what lies behind it is for the operator. What a
            # caller did wrong concerns the caller alone, and must not fill the log.
            log.warning(
                "request.failed",
                extra={"request_id": request_id(), "code": error.code},
                exc_info=error,
            )
        return problem(error)

    def invalid(error: ValidationError) -> Response:
        return problem(errors.InvalidRequestError(errors=_by_field(error)))

    def http(error: HTTPException) -> Response:
        kind = _FROM_HTTP.get(HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR))
        if kind is None:
            return unforeseen(getattr(error, "original_exception", None) or error)
        response = problem(kind())
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    def unforeseen(error: Exception) -> Response:
        log.error("request.bug", extra={"request_id": request_id()}, exc_info=error)
        return problem(errors.InternalError())

    app.register_error_handler(ServiceError, expected)
    app.register_error_handler(ValidationError, invalid)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, unforeseen)
