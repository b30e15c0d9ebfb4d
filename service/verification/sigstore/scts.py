"""Whether a trusted certificate transparency log has seen a certificate (RFC 6962, section 3.2).

Exactly one timestamp must be embedded, as sigstore's clients ask.
"""

from __future__ import annotations

from datetime import UTC
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.certificate_transparency import SignedCertificateTimestamp

from service.verification.sigstore.keys import WrongSignatureError
from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import Log

_V1: Final = b"\x00"
_CERTIFICATE_TIMESTAMP: Final = b"\x00"
_PRECERTIFICATE: Final = b"\x00\x01"


def check_sct(leaf: x509.Certificate, issuer: x509.Certificate, ct_logs: tuple[Log, ...]) -> None:
    """Raises RefusedError."""
    try:
        found = leaf.extensions.get_extension_for_class(
            x509.PrecertificateSignedCertificateTimestamps
        ).value
    except x509.ExtensionNotFound as error:
        raise RefusedError(
            Refusal.CERTIFICATE_TIMESTAMP_MISSING, "no CT log has timestamped the certificate"
        ) from error
    if len(found) != 1:
        text = f"the certificate holds {len(found)} timestamps of CT logs, not one"
        raise RefusedError(Refusal.CERTIFICATE_TIMESTAMP_INVALID, text)
    sct = found[0]
    moment = sct.timestamp.replace(tzinfo=UTC)
    logs = [log for log in ct_logs if log.log_id == sct.log_id and log.valid.covers(moment)]
    if not logs:
        raise RefusedError(
            Refusal.CERTIFICATE_TIMESTAMP_UNTRUSTED, "the trusted root does not know its CT log"
        )
    if not any(_verifies(log, sct, leaf, issuer) for log in logs):
        raise RefusedError(
            Refusal.CERTIFICATE_TIMESTAMP_INVALID, "the CT log has not signed its timestamp"
        )


def signed_message(
    sct: SignedCertificateTimestamp, leaf: x509.Certificate, issuer: x509.Certificate
) -> bytes:
    """Return what a CT log signs for a precertificate."""
    key = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    to_be_signed = leaf.tbs_precertificate_bytes
    milliseconds = round(sct.timestamp.replace(tzinfo=UTC).timestamp() * 1000)
    return b"".join(
        (
            _V1,
            _CERTIFICATE_TIMESTAMP,
            milliseconds.to_bytes(8, "big"),
            _PRECERTIFICATE,
            sha256(key).digest(),
            len(to_be_signed).to_bytes(3, "big"),
            to_be_signed,
            len(sct.extension_bytes).to_bytes(2, "big"),
            sct.extension_bytes,
        )
    )


def _verifies(
    log: Log, sct: SignedCertificateTimestamp, leaf: x509.Certificate, issuer: x509.Certificate
) -> bool:
    if not isinstance(sct.signature_hash_algorithm, hashes.SHA256):
        return False
    try:
        log.key.verify(signed_message(sct, leaf, issuer), sct.signature)
    except (WrongSignatureError, ValueError):
        return False
    return True
