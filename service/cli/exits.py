"""Exit codes: the one table, as the contract names them."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import Final

from service.domain import errors


class Exit(IntEnum):
    DONE = 0
    VERDICT_IS_NO = 1
    USAGE = 2
    NOT_AUTHORISED = 3
    UNAVAILABLE = 4
    """Also what is still pending: try again."""
    BUG = 5


EXITS: Final = MappingProxyType(
    {
        errors.UnauthenticatedError: Exit.NOT_AUTHORISED,
        errors.ForbiddenError: Exit.NOT_AUTHORISED,
        errors.PolicyDeniedError: Exit.NOT_AUTHORISED,
        errors.InvalidRequestError: Exit.USAGE,
        errors.MalformedBodyError: Exit.BUG,
        errors.BodyTooLargeError: Exit.USAGE,
        errors.UnsupportedMediaTypeError: Exit.BUG,
        errors.NotAcceptableError: Exit.USAGE,
        errors.NotFoundError: Exit.USAGE,
        errors.NotServedHereError: Exit.USAGE,
        errors.MethodNotAllowedError: Exit.BUG,
        errors.InvalidReferenceError: Exit.USAGE,
        errors.TagDigestMismatchError: Exit.VERDICT_IS_NO,
        errors.ImageNotFoundError: Exit.USAGE,
        errors.DescriptorMismatchError: Exit.USAGE,
        errors.PayloadNotSignableError: Exit.USAGE,
        errors.PredicateNotAllowedError: Exit.USAGE,
        errors.MadeByAnotherToolError: Exit.USAGE,
        errors.IndexNotFollowedError: Exit.USAGE,
        errors.UnsupportedFormatError: Exit.USAGE,
        errors.InvalidPredicateError: Exit.USAGE,
        errors.IdempotencyKeyReusedError: Exit.USAGE,
        errors.RequestInProgressError: Exit.UNAVAILABLE,
        errors.KeyNotFoundError: Exit.USAGE,
        errors.KeyExistsError: Exit.USAGE,
        errors.KeyNotNamedError: Exit.USAGE,
        errors.KeyNotUsableError: Exit.USAGE,
        errors.KeyMoveForbiddenError: Exit.USAGE,
        errors.PublicKeyTakenError: Exit.USAGE,
        errors.LogKeyMissingError: Exit.UNAVAILABLE,
        errors.TimestampKeyMissingError: Exit.UNAVAILABLE,
        errors.TimestampUnavailableError: Exit.UNAVAILABLE,
        errors.CertificateNotFoundError: Exit.USAGE,
        errors.CertificateChainRefusedError: Exit.USAGE,
        errors.CertificateSubjectTakenError: Exit.USAGE,
        errors.CertificateAuthorityNotUsableError: Exit.USAGE,
        errors.UnsupportedAlgorithmError: Exit.USAGE,
        errors.KeyUnprotectedError: Exit.USAGE,
        errors.KeyNotAdoptableError: Exit.USAGE,
        errors.TokenNotFoundError: Exit.USAGE,
        errors.HSMUnavailableError: Exit.UNAVAILABLE,
        errors.HSMRefusedError: Exit.UNAVAILABLE,
        errors.HSMQuarantinedError: Exit.UNAVAILABLE,
        errors.PINRefusedError: Exit.UNAVAILABLE,
        errors.KeyMissingOnTokenError: Exit.UNAVAILABLE,
        errors.SignatureCheckFailedError: Exit.UNAVAILABLE,
        errors.RegistryNotConfiguredError: Exit.USAGE,
        errors.RegistryUnavailableError: Exit.UNAVAILABLE,
        errors.RegistryDeniedError: Exit.UNAVAILABLE,
        errors.RegistryRefusedError: Exit.UNAVAILABLE,
        errors.AttachConflictError: Exit.UNAVAILABLE,
        errors.ApprovalNotPendingError: Exit.USAGE,
        errors.AlreadyApprovedError: Exit.USAGE,
        errors.ApprovalStaleError: Exit.USAGE,
        errors.ApproverInvalidError: Exit.USAGE,
        errors.ApprovalInterruptedError: Exit.USAGE,
        errors.ApprovalSignatureRequiredError: Exit.USAGE,
        errors.ApprovalSignatureInvalidError: Exit.USAGE,
        errors.SSHKeyMissingError: Exit.USAGE,
        errors.NothingToLoosenError: Exit.USAGE,
        errors.StoreUnavailableError: Exit.UNAVAILABLE,
        errors.SchemaUnsupportedError: Exit.UNAVAILABLE,
        errors.RateLimitedError: Exit.UNAVAILABLE,
        errors.LogUnavailableError: Exit.UNAVAILABLE,
        errors.LogRolledBackError: Exit.UNAVAILABLE,
        errors.LeaseLostError: Exit.UNAVAILABLE,
        errors.MaintenanceError: Exit.UNAVAILABLE,
        errors.RecordDamagedError: Exit.BUG,
        errors.TooManyJobsError: Exit.UNAVAILABLE,
        errors.BusyError: Exit.UNAVAILABLE,
        errors.CredentialExistsError: Exit.USAGE,
        errors.AdminExistsError: Exit.USAGE,
        errors.ConfigurationError: Exit.USAGE,
        errors.InternalError: Exit.BUG,
    }
)

_WORST_FIRST: Final = (
    Exit.BUG,
    Exit.NOT_AUTHORISED,
    Exit.USAGE,
    Exit.VERDICT_IS_NO,
    Exit.UNAVAILABLE,
)
"""Of several failures the one that a retry will not mend decides."""


def exit_for(code: str, *, retryable: bool) -> Exit:
    """Return the exit code of a problem; one of a newer service is judged by `retryable`."""
    kind = errors.by_code(code)
    if kind is not None:
        return EXITS[kind]
    return Exit.UNAVAILABLE if retryable else Exit.USAGE


def worst(exits: set[Exit]) -> Exit:
    return next((candidate for candidate in _WORST_FIRST if candidate in exits), Exit.DONE)
