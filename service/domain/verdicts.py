"""Verdicts: `verified`, `unsigned`, `rejected`, `unknown`, each with its reasons.

`verified`: at least one signature of a trusted key stands. `rejected`: there are signatures
and none stands. `unsigned`: every place answered and holds none. `unknown`: everything else;
silence, a time-out or nonsense from a registry is never a no.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.domain.digests import Digest


class Verdict(StrEnum):
    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class ReasonCode(StrEnum):
    """Stable codes: clients branch on them."""

    SIGNATURE_VALID = "signature-valid"
    NO_SIGNATURE = "no-signature"
    UNTRUSTED_KEY = "untrusted-key"
    KEY_COMPROMISED = "key-compromised"
    WRONG_PURPOSE = "wrong-purpose"
    WRONG_DIGEST = "wrong-digest"
    PAYLOAD_MALFORMED = "payload-malformed"
    PAYLOAD_UNAVAILABLE = "payload-unavailable"
    SIGNATURE_MISSING = "signature-missing"
    MANIFEST_MALFORMED = "manifest-malformed"
    IMAGE_NOT_FOUND = "image-not-found"
    INVALID_REFERENCE = "invalid-reference"
    TAG_DIGEST_MISMATCH = "tag-digest-mismatch"
    REGISTRY_NOT_CONFIGURED = "registry-not-configured"
    REGISTRY_UNAVAILABLE = "registry-unavailable"
    REGISTRY_DENIED = "registry-denied"
    IDENTITY_DIFFERS = "identity-differs"


@dataclass(frozen=True, slots=True)
class Reason:
    code: ReasonCode
    text: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """What one signature found at the registry is worth."""

    format: str
    stands: bool
    reason: Reason
    key: str | None = None
    version: int | None = None
    identity: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    reference: str
    digest: Digest | None
    verdict: Verdict
    reasons: tuple[Reason, ...]
    signatures: tuple[SignatureVerdict, ...] = ()
    warnings: tuple[Reason, ...] = ()
