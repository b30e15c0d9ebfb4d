"""Whether a certificate may sign for an identity: its chain, its use, whom it is for.

The chain is built by `cryptography` at each time that is proven, from the authorities of the
trusted root alone: what a bundle brings along vouches for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asn1crypto import core
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from service.verification.sigstore.reasons import Refusal, RefusedError
from service.verification.sigstore.roots import Authority

ISSUER_V1: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
ISSUER_V2: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
OTHER_NAME: Final = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a signature must be by: the subject alternative name, and who vouched for it."""

    name: str
    issuer: str


def parse_chain(chain: Sequence[bytes]) -> x509.Certificate:
    """Return the leaf of a bundle's chain. Raises RefusedError."""
    try:
        parsed = [x509.load_der_x509_certificate(der) for der in chain]
        for certificate in parsed:
            _ = certificate.extensions, certificate.public_key()
            if _is_self_signed(certificate):
                raise RefusedError(
                    Refusal.CERTIFICATE_ROOT_INCLUDED, "the bundle brings a root along"
                )
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension) as bad:
        raise RefusedError(
            Refusal.CERTIFICATE_MALFORMED, "a certificate of the bundle cannot be read"
        ) from bad
    return parsed[0]


def check_chain_at(
    leaf: x509.Certificate, moment: datetime, authorities: Sequence[Authority]
) -> x509.Certificate:
    """Return the issuer of the leaf, once its chain has been checked at `moment`.

    Raises RefusedError.
    """
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise RefusedError(
            Refusal.CERTIFICATE_EXPIRED,
            f"the certificate is not valid at {moment.isoformat()}, when it signed",
        )
    for authority in authorities:
        issuer = _issuer(leaf, moment, authority) if authority.valid.covers(moment) else None
        if issuer is not None:
            return issuer
    raise RefusedError(
        Refusal.CERTIFICATE_UNTRUSTED, "no certificate authority of the trusted root vouches for it"
    )


def check_usage(leaf: x509.Certificate) -> None:
    """Raises RefusedError: the certificate is not for signing code."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise RefusedError(
            Refusal.CERTIFICATE_USAGE, "the certificate does not say what it is for"
        ) from error
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in extended:
        raise RefusedError(Refusal.CERTIFICATE_USAGE, "the certificate is not for signing code")


def check_identity(leaf: x509.Certificate, identity: Identity) -> None:
    """Raises RefusedError: the certificate is for somebody else, or by another issuer."""
    names = names_of(leaf)
    if identity.name not in names:
        shown = ", ".join(sorted(names))[:300] or "nobody"
        raise RefusedError(
            Refusal.IDENTITY_MISMATCHED, f"the certificate is for {shown}, not {identity.name}"
        )
    issuer = issuer_of(leaf)
    if issuer != identity.issuer:
        raise RefusedError(
            Refusal.ISSUER_MISMATCHED,
            f"the identity is vouched for by {issuer}, not {identity.issuer}",
        )


def names_of(leaf: x509.Certificate) -> frozenset[str]:
    """Return whom a certificate is for: addresses, URIs and Fulcio's own kind of name."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    plain = {
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    }
    others = names.get_values_for_type(x509.OtherName)
    return frozenset(plain | {_utf8(one.value) for one in others if one.type_id == OTHER_NAME})


def issuer_of(leaf: x509.Certificate) -> str | None:
    """Return who vouched for the identity: Fulcio's extension in DER, or the older plain one."""
    found = {}
    for extension in leaf.extensions:
        value = extension.value
        if isinstance(value, x509.UnrecognizedExtension):
            found[extension.oid] = value.value
    if ISSUER_V2 in found:
        return _utf8(found[ISSUER_V2])
    return found[ISSUER_V1].decode(errors="replace") if ISSUER_V1 in found else None


def _utf8(der: bytes) -> str:
    try:
        value = core.UTF8String.load(der, strict=True).native
    except (ValueError, TypeError):
        return ""
    return str(value)


def _issuer(
    leaf: x509.Certificate, moment: datetime, authority: Authority
) -> x509.Certificate | None:
    """Return the leaf's issuer if its chain leads to the authority's root."""
    # WebPKI's rules, but for the extended usage, which is for signing code here.
    ca = ExtensionPolicy.webpki_defaults_ca().may_be_present(
        x509.ExtendedKeyUsage, Criticality.NON_CRITICAL, None
    )
    end = ExtensionPolicy.webpki_defaults_ee().may_be_present(
        x509.ExtendedKeyUsage, Criticality.NON_CRITICAL, None
    )
    verifier = (
        PolicyBuilder()
        .store(Store([authority.chain[-1]]))
        .time(moment)
        .extension_policies(ca_policy=ca, ee_policy=end)
        .build_client_verifier()
    )
    try:
        chain = verifier.verify(leaf, list(authority.chain[:-1])).chain
    except (VerificationError, x509.UnsupportedGeneralNameType):
        return None
    return chain[1]


def _is_self_signed(certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True
