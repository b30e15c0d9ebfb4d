"""Verdicts as JSON values."""

from __future__ import annotations

from typing import Any, Final

from service.domain.clock import rfc3339
from service.domain.verdicts import ImageVerdict, Reason, ReasonCode, SignatureVerdict

_COULD_NOT_READ: Final = frozenset(
    {
        ReasonCode.PAYLOAD_UNAVAILABLE,
        ReasonCode.REGISTRY_UNAVAILABLE,
        ReasonCode.REGISTRY_DENIED,
    }
)
"""Reasons that mean "could not check": such a signature is neither good nor bad."""


def image_verdict(found: ImageVerdict) -> dict[str, Any]:
    body = _verdict(found)
    body["n_of_n"] = found.n_of_n
    body["children"] = [
        {"platform": child.platform, **_verdict(child)} for child in found.children or ()
    ]
    return body


def _verdict(found: ImageVerdict) -> dict[str, Any]:
    return {
        "reference": found.reference,
        "digest": None if found.digest is None else str(found.digest),
        "verdict": found.verdict,
        "reasons": [_reason(reason) for reason in found.reasons],
        "signatures": [_signature(verdict) for verdict in found.signatures],
        "attestations": [_attestation(verdict) for verdict in found.attestations],
        "warnings": [_reason(reason) for reason in found.warnings],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    body: dict[str, Any] = {"code": reason.code, "text": reason.text}
    if reason.retry_after is not None:
        body["retry_after"] = reason.retry_after
    if reason.cure is not None:
        body["cure"] = reason.cure
    return body


def _signature(verdict: SignatureVerdict) -> dict[str, Any]:
    return {
        "format": verdict.format,
        "key": verdict.key,
        "key_version": verdict.version,
        "identity": verdict.identity,
        "certificate_identity": verdict.certificate_identity,
        "certificate_issuer": verdict.certificate_issuer,
        "policy": verdict.policy,
        "created_at": None if verdict.created_at is None else rfc3339(verdict.created_at),
        "outcome": _outcome(verdict),
        "reason": _reason(verdict.reason),
    }


def _attestation(verdict: SignatureVerdict) -> dict[str, Any]:
    return {
        "predicate_type": verdict.predicate_type,
        "key": verdict.key,
        "key_version": verdict.version,
        "outcome": _outcome(verdict),
        "reason": _reason(verdict.reason),
    }


def _outcome(verdict: SignatureVerdict) -> str:
    if verdict.stands:
        return "verified"
    return "unknown" if verdict.reason.code in _COULD_NOT_READ else "rejected"
