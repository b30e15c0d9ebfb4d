"""Certificate chains, judged as the Notary Project and RFC 3161 ask; every fault is told.

The rules are those of the Notary Project's signature specification, "Certificate
Requirements", as notation-core-go enforces them (x509/*_cert_validations.go). Where the text
is stricter than the code, the text counts: CA certificates mark basicConstraints critical, and
nobody names anyExtendedKeyUsage. What neither names is stricter here only where it says so.

Nothing is fetched and no trust store is asked: whoever gets a `Chain` back compares its leaf's
public key, and its root, with what it trusts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import SignatureAlgorithmOID as Oid

from service.domain.certificates import Validity
from service.domain.subjects import Subject
from service.domain.x509_names import subject_from
from service.verification.certificate_rules import (
    Fault,
    FaultCode,
    Use,
    ca_faults,
    described,
    key_faults,
    leaf_faults,
)

__all__ = [
    "UNREADABLE",
    "Chain",
    "ChainInvalidError",
    "Fault",
    "FaultCode",
    "Use",
    "check_chain",
    "signed_by",
    "unverified_from_pem",
    "validities",
]

MAX_CERTIFICATES: Final = 10  # a leaf, a root, and more in between than any CA has
MAX_CERTIFICATE_BYTES: Final = 64 * 1024  # some kilobytes; more is an attack
_PEM_LABEL: Final = re.compile(rb"-----BEGIN ([^\r\n]*?)-----")
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""All that `cryptography` raises for what it cannot read."""
_NOT_SIGNED: Final = (InvalidSignature, *UNREADABLE)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_ALGORITHMS: Final = frozenset(
    {
        Oid.ECDSA_WITH_SHA256,
        Oid.ECDSA_WITH_SHA384,
        Oid.ECDSA_WITH_SHA512,
        Oid.RSA_WITH_SHA256,
        Oid.RSA_WITH_SHA384,
        Oid.RSA_WITH_SHA512,
        Oid.RSASSA_PSS,
        Oid.ED25519,
    }
)
"""What Go's crypto/x509 checks, without SHA-1 and older. A leaf's own key is another matter."""


class ChainInvalidError(ValueError):
    """The chain was checked, and it is wrong; `faults` has everything that was found."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(fault.text for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that keeps the rules; to hold one is proof that it was checked."""

    certificates: tuple[bytes, ...]
    subject: Subject
    public_key: bytes
    """The leaf's, as DER SubjectPublicKeyInfo."""
    not_before: datetime
    not_after: datetime

    @property
    def root(self) -> bytes:
        return self.certificates[-1]


def check_chain(unverified: Sequence[bytes], *, use: Use, at: datetime | None) -> Chain:
    """Check a chain, leaf first, for one use.

    `at` is the moment at which every certificate must be valid: now, or the time that a
    timestamp proves. None leaves validity to the caller.

    Raises:
        ChainInvalidError: with every fault.
    """
    if not unverified:
        raise ChainInvalidError(Fault(FaultCode.EMPTY, None, "there is no certificate"))
    if len(unverified) > MAX_CERTIFICATES:
        text = f"{len(unverified)} certificates are more than {MAX_CERTIFICATES}"
        raise ChainInvalidError(Fault(FaultCode.TOO_LONG, None, text))
    parsed = _parsed(unverified)
    faults = [*_structure(parsed, use), *_rules(parsed, use)]
    if at is not None:
        faults += _validity(parsed, at)
    if faults:
        raise ChainInvalidError(*sorted(faults, key=lambda f: f.position or 0))
    leaf = parsed[0]
    return Chain(
        certificates=tuple(unverified),
        subject=subject_from(leaf.subject),
        public_key=leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        not_before=max(certificate.not_valid_before_utc for certificate in parsed),
        not_after=min(certificate.not_valid_after_utc for certificate in parsed),
    )


def validities(certificates: Sequence[bytes]) -> tuple[Validity, ...]:
    """Return the validity of each certificate of a chain by itself."""
    parsed = (x509.load_der_x509_certificate(der) for der in certificates)
    return tuple(Validity(c.not_valid_before_utc, c.not_valid_after_utc) for c in parsed)


def unverified_from_pem(text: str) -> tuple[bytes, ...]:
    """Return the certificates in RFC 7468 text as DER, in their order; text between is skipped.

    Raises:
        ChainInvalidError: something else than certificates is in it, or nothing.
    """
    content = text.encode(errors="replace")
    labels = [label.decode(errors="replace") for label in _PEM_LABEL.findall(content)]
    if any("PRIVATE KEY" in label for label in labels):
        # Said first and by itself: somebody has just sent a secret to the wrong place.
        raise _malformed("a private key is in it, which belongs nowhere near this call", None)
    foreign = set(labels) - {"CERTIFICATE"}
    if foreign:
        raise _malformed(f"{', '.join(sorted(foreign))[:100]} is no CERTIFICATE", None)
    if not labels:
        raise ChainInvalidError(Fault(FaultCode.EMPTY, None, "there is no PEM certificate"))
    try:
        found = x509.load_pem_x509_certificates(content)
    except UNREADABLE as error:
        raise _malformed("a PEM block is not a certificate", None) from error
    if len(found) != len(labels):
        raise _malformed("a PEM block is not a certificate: it has no end", None)
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)


def _malformed(text: str, position: int | None) -> ChainInvalidError:
    return ChainInvalidError(Fault(FaultCode.MALFORMED, position, text))


def _parsed(unverified: Sequence[bytes]) -> list[x509.Certificate]:
    """Parse everything that is looked at later, because cryptography parses as late as it can."""
    parsed = []
    for position, der in enumerate(unverified):
        if len(der) > MAX_CERTIFICATE_BYTES:
            raise _malformed(f"certificate {position + 1} has {len(der)} bytes", position)
        try:
            certificate = x509.load_der_x509_certificate(der)
            _ = certificate.extensions, certificate.subject, certificate.issuer
            _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            certificate.public_key()
        except UNREADABLE as error:
            text = (
                f"certificate {position + 1} cannot be read as X.509, or has a key of no known kind"
            )
            raise _malformed(text, position) from error
        parsed.append(certificate)
    return parsed


def _structure(chain: Sequence[x509.Certificate], use: Use) -> Iterator[Fault]:
    """Each certificate is issued by the next, the last by itself, and no other by itself."""
    for position, certificate in enumerate(chain):
        unsound = _algorithm(certificate, position)
        if unsound is not None:
            yield unsound
        issuer = chain[min(position + 1, len(chain) - 1)]
        named = described(certificate, position)
        if not _same(certificate.issuer, issuer.subject):
            yield _wrong_issuer(chain, position)
        elif unsound is None and not signed_by(certificate, issuer):
            text = f"{named} names the issuer {_dn(issuer.subject)}, whose key has not signed it"
            yield Fault(FaultCode.SIGNATURE, position, text)
        # A CA that passes its name on to a new key is issued by its name, but not by itself.
        if issuer is not certificate and signed_by(certificate, certificate):
            text = f"{named} is self-signed, so the chain ends with it"
            yield Fault(FaultCode.SELF_SIGNED_INSIDE, position, text)
    if len(chain) == 1 and use is Use.TIMESTAMPING:
        text = "a lone certificate cannot be used for timestamps: cosign wants a root beside it"
        yield Fault(FaultCode.INCOMPLETE, 0, text)


def _wrong_issuer(chain: Sequence[x509.Certificate], position: int) -> Fault:
    certificate = chain[position]
    named, issuer = described(certificate, position), _dn(certificate.issuer)
    if position == len(chain) - 1:
        text = f"{named} is the last, and not a root: its issuer {issuer} is missing"
        return Fault(FaultCode.INCOMPLETE, position, text)
    where = [n for n, other in enumerate(chain) if _same(certificate.issuer, other.subject)]
    hint = f"certificate {where[0] + 1}" if where else "missing"
    text = f"{named} is not issued by the one after it: its issuer {issuer} is {hint}"
    return Fault(FaultCode.ORDER, position, text)


def _dn(name: x509.Name) -> str:
    return name.rfc4514_string()[:200]


def _same(one: x509.Name, other: x509.Name) -> bool:
    # By their bytes, as notation compares them.
    return one.public_bytes() == other.public_bytes()


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer is who the certificate says, and has signed it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except _NOT_SIGNED:
        return False
    return True


def _algorithm(certificate: x509.Certificate, position: int) -> Fault | None:
    oid = certificate.signature_algorithm_oid
    if oid in _ALGORITHMS and (oid != Oid.RSASSA_PSS or _is_plain_pss(certificate)):
        return None
    name = getattr(oid, "_name", oid.dotted_string)
    text = f"{described(certificate, position)} is signed with {name}, which verifiers refuse"
    return Fault(FaultCode.SIGNATURE_ALGORITHM, position, text)


def _is_plain_pss(certificate: x509.Certificate) -> bool:
    """Whether the salt is as long as the hash, and MGF1 uses the same: all that Go checks."""
    try:
        parameters = certificate.signature_algorithm_parameters
        hashed = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return False
    return (
        isinstance(parameters, padding.PSS)
        and isinstance(hashed, _HASHES)
        and isinstance(parameters.mgf, padding.MGF1)
        and parameters.mgf._algorithm.name == hashed.name  # noqa: SLF001 -- it has no other name
        and parameters._salt_length == hashed.digest_size  # noqa: SLF001 -- as above
    )


def _rules(chain: Sequence[x509.Certificate], use: Use) -> Iterator[Fault]:
    yield from leaf_faults(chain[0], use)
    for position, certificate in enumerate(chain):
        yield from key_faults(certificate, position)
        if position > 0:
            yield from ca_faults(certificate, position, use)


def _validity(chain: Sequence[x509.Certificate], at: datetime) -> Iterator[Fault]:
    for position, certificate in enumerate(chain):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        named = described(certificate, position)
        if at < begin:
            yield Fault(FaultCode.VALIDITY, position, f"{named} is not valid before {begin}")
        elif at > end:
            yield Fault(FaultCode.VALIDITY, position, f"{named} expired on {end}")
