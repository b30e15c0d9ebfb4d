"""Why a sigstore bundle is refused: one stable code for each part that can be wrong."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Stable codes: scripts branch on them."""

    BUNDLE_MALFORMED = "bundle-malformed"
    TRUSTED_ROOT_MALFORMED = "trusted-root-malformed"
    KEY_MALFORMED = "key-malformed"
    KEY_NOT_GIVEN = "key-not-given"
    IDENTITY_NOT_GIVEN = "identity-not-given"

    CERTIFICATE_MALFORMED = "certificate-malformed"
    CERTIFICATE_ROOT_INCLUDED = "certificate-root-included"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_USAGE = "certificate-usage"
    CERTIFICATE_TIMESTAMP_MISSING = "certificate-timestamp-missing"
    CERTIFICATE_TIMESTAMP_UNTRUSTED = "certificate-timestamp-untrusted"
    CERTIFICATE_TIMESTAMP_INVALID = "certificate-timestamp-invalid"
    IDENTITY_MISMATCHED = "identity-mismatched"
    ISSUER_MISMATCHED = "issuer-mismatched"

    LOG_ENTRY_MISSING = "log-entry-missing"
    LOG_ENTRY_MALFORMED = "log-entry-malformed"
    LOG_ENTRY_MISMATCHED = "log-entry-mismatched"
    LOG_UNTRUSTED = "log-untrusted"
    LOG_KEY_OUT_OF_TIME = "log-key-out-of-time"
    PROMISE_MISSING = "promise-missing"
    PROMISE_INVALID = "promise-invalid"
    INCLUSION_PROOF_MISSING = "inclusion-proof-missing"
    INCLUSION_PROOF_INVALID = "inclusion-proof-invalid"
    CHECKPOINT_MALFORMED = "checkpoint-malformed"
    CHECKPOINT_UNTRUSTED = "checkpoint-untrusted"
    CHECKPOINT_INVALID = "checkpoint-invalid"
    CHECKPOINT_MISMATCHED = "checkpoint-mismatched"

    TIME_MISSING = "time-missing"
    TIMESTAMP_MALFORMED = "timestamp-malformed"
    TIMESTAMP_MISMATCHED = "timestamp-mismatched"
    TIMESTAMP_UNTRUSTED = "timestamp-untrusted"
    TIMESTAMP_OUT_OF_TIME = "timestamp-out-of-time"

    SIGNATURE_INVALID = "signature-invalid"
    DIGEST_MISMATCHED = "digest-mismatched"
    CONTENT_NEEDED = "content-needed"
    PAYLOAD_TYPE_UNKNOWN = "payload-type-unknown"
    STATEMENT_MALFORMED = "statement-malformed"
    PREDICATE_MALFORMED = "predicate-malformed"
    LIBRARY_REFUSES = "library-refuses"


class RefusedError(Exception):
    """The bundle was checked, and it is refused; the text is safe to show."""

    def __init__(self, code: Refusal, text: str) -> None:
        super().__init__(text)
        self.code = code
