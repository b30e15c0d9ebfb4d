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
    UNTRUSTED_IDENTITY = "untrusted-identity"
    UNTRUSTED_CERTIFICATE = "untrusted-certificate"
    SIGSTORE_REFUSED = "sigstore-refused"
    KEY_COMPROMISED = "key-compromised"
    WRONG_PURPOSE = "wrong-purpose"
    WRONG_DIGEST = "wrong-digest"
    PAYLOAD_MALFORMED = "payload-malformed"
    PAYLOAD_UNAVAILABLE = "payload-unavailable"
    SIGNATURE_MISSING = "signature-missing"
    MANIFEST_MALFORMED = "manifest-malformed"
    BUNDLE_MALFORMED = "bundle-malformed"
    ENVELOPE_MALFORMED = "envelope-malformed"
    CERTIFICATE_CHAIN_INVALID = "certificate-chain-invalid"
    CERTIFICATE_EXPIRED = "certificate-expired"
    SIGNATURE_EXPIRED = "signature-expired"
    TOO_MANY_REFERRERS = "too-many-referrers"
    FALLBACK_INDEX_MALFORMED = "fallback-index-malformed"
    INDEX_NOT_FOLLOWED = "index-not-followed"
    CHILD_NOT_VERIFIED = "child-not-verified"
    IMAGE_NOT_FOUND = "image-not-found"
    INVALID_REFERENCE = "invalid-reference"
    TAG_DIGEST_MISMATCH = "tag-digest-mismatch"
    REGISTRY_NOT_CONFIGURED = "registry-not-configured"
    REGISTRY_UNAVAILABLE = "registry-unavailable"
    REGISTRY_DENIED = "registry-denied"
    IDENTITY_DIFFERS = "identity-differs"
    FOREIGN_BUNDLE = "foreign-bundle"
    DEAD_REFERRER = "dead-referrer"
    MALFORMED_NOTATION = "malformed-notation-signature"
    ATTESTATION_BY_IMAGE_KEY = "attestation-by-image-key"


@dataclass(frozen=True, slots=True)
class Reason:
    """`cure` says what to do, where that does not follow from the code."""

    code: ReasonCode
    text: str
    retry_after: float | None = None
    cure: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureVerdict:
    """What one signature found at the registry is worth.

    `policy` is the trust policy by which somebody else's signature was judged; `key` is then the
    name that the policy file gives a foreign key, and has no version.
    """

    format: str
    stands: bool
    reason: Reason
    key: str | None = None
    version: int | None = None
    identity: str | None = None
    created_at: datetime | None = None
    predicate_type: str | None = None
    """Of an attestation: as it says, which is true if it stands."""
    policy: str | None = None
    certificate_identity: str | None = None
    certificate_issuer: str | None = None

    @property
    def signer(self) -> str | None:
        """Return who has made it, where that is known: a key, or whom a certificate is for."""
        if self.key is None:
            return self.certificate_identity
        return self.key if self.version is None else f"{self.key} version {self.version}"


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    reference: str
    digest: Digest | None
    verdict: Verdict
    reasons: tuple[Reason, ...]
    signatures: tuple[SignatureVerdict, ...] = ()
    warnings: tuple[Reason, ...] = ()
    attestations: tuple[SignatureVerdict, ...] = ()
    """What is said of the image beside that it is signed; none of it makes a verdict."""
    platform: str | None = None
    """Of a child: as its index says."""
    children: tuple[ImageVerdict, ...] | None = None
    """With `recursive`, of an index: a verdict for each manifest in it."""

    @property
    def n_of_n(self) -> str | None:
        """Return how many manifests of the index are verified, as in `2 of 3`."""
        if self.children is None:
            return None
        good = sum(child.verdict is Verdict.VERIFIED for child in self.children)
        return f"{good} of {len(self.children)}"
