"""What one certificate must say at its place in a chain: keys, usages, names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from service.domain.keys import Purpose
from service.domain.x509_names import subject_from

E = TypeVar("E", bound=x509.ExtensionType)

MIN_RSA_BITS: Final = 2048  # of CAs too, where notation looks at the leaf alone
LEAF_RSA_BITS: Final = (2048, 3072, 4096)  # each forces its own hash; notation knows no other
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")


class Use(StrEnum):
    """What a chain is for."""

    CODE_SIGNING = "code-signing"
    TIMESTAMPING = "timestamping"


USE_OF: Final = MappingProxyType(
    {
        Purpose.IMAGE: Use.CODE_SIGNING,
        Purpose.ATTESTATION: Use.CODE_SIGNING,
        Purpose.TIMESTAMP: Use.TIMESTAMPING,
    }
)
"""By the purpose of the key; keys of other purposes have no chain of their own."""


class FaultCode(StrEnum):
    """What can be wrong with a chain. Stable, as error codes are."""

    EMPTY = "empty"
    TOO_LONG = "too-long"
    MALFORMED = "malformed"
    ORDER = "order"
    INCOMPLETE = "incomplete"
    SELF_SIGNED_INSIDE = "self-signed-inside"
    SIGNATURE = "signature"
    SIGNATURE_ALGORITHM = "signature-algorithm"
    BASIC_CONSTRAINTS = "basic-constraints"
    PATH_LENGTH = "path-length"
    KEY_USAGE = "key-usage"
    EXTENDED_KEY_USAGE = "extended-key-usage"
    KEY = "key"
    SUBJECT = "subject"
    VALIDITY = "validity"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, with the certificate that it is about, counted from 0."""

    code: FaultCode
    position: int | None
    text: str


_FORBIDDEN_USAGES: Final = MappingProxyType(
    {
        Usage.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
        Usage.SERVER_AUTH: "serverAuth",
        Usage.CLIENT_AUTH: "clientAuth",
        Usage.EMAIL_PROTECTION: "emailProtection",
        Usage.TIME_STAMPING: "timeStamping",
        Usage.OCSP_SIGNING: "OCSPSigning",
    }
)


def described(certificate: x509.Certificate, position: int) -> str:
    return f"certificate {position + 1} ({certificate.subject.rfc4514_string()[:200]})"


def leaf_faults(leaf: x509.Certificate, use: Use) -> Iterator[Fault]:
    named = described(leaf, 0)
    constraints = _extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.value.ca:
        text = f"{named} is a CA certificate: a signer's must not be one"
        yield Fault(FaultCode.BASIC_CONSTRAINTS, 0, text)
    yield from _leaf_key_usage(leaf)
    yield from _leaf_extended_usage(leaf, use)
    if use is Use.CODE_SIGNING:
        for why in subject_from(leaf.subject).faults():
            text = f"{named}: no trusted identity of notation can match its subject: {why}"
            yield Fault(FaultCode.SUBJECT, 0, text)


def _leaf_key_usage(leaf: x509.Certificate) -> Iterator[Fault]:
    named = described(leaf, 0)
    usage = _extension(leaf, x509.KeyUsage)
    if usage is None:
        yield Fault(FaultCode.KEY_USAGE, 0, f"{named} has no keyUsage")
        return
    if not usage.critical:
        yield Fault(FaultCode.KEY_USAGE, 0, f"{named}: keyUsage is not marked critical")
    if not usage.value.digital_signature:
        yield Fault(FaultCode.KEY_USAGE, 0, f"{named}: keyUsage lacks digitalSignature")
    forbidden = _forbidden_bits(usage.value)
    if forbidden:
        text = f"{named}: keyUsage allows {', '.join(forbidden)} beside digitalSignature"
        yield Fault(FaultCode.KEY_USAGE, 0, text)


def _forbidden_bits(usage: x509.KeyUsage) -> list[str]:
    # contentCommitment is the only bit beside digitalSignature that nobody forbids.
    agreement = usage.key_agreement
    bits = {
        "keyEncipherment": usage.key_encipherment,
        "dataEncipherment": usage.data_encipherment,
        "keyAgreement": agreement,
        "keyCertSign": usage.key_cert_sign,
        "cRLSign": usage.crl_sign,
        # Undefined, and not to be asked for, without keyAgreement.
        "encipherOnly": agreement and usage.encipher_only,
        "decipherOnly": agreement and usage.decipher_only,
    }
    return [name for name, is_set in bits.items() if is_set]


def _leaf_extended_usage(leaf: x509.Certificate, use: Use) -> Iterator[Fault]:
    named = described(leaf, 0)
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    usages = list(extended.value) if extended is not None else []
    if use is Use.TIMESTAMPING:
        # RFC 3161, 2.3.
        if extended is None or usages != [Usage.TIME_STAMPING] or not extended.critical:
            text = f"{named}: extendedKeyUsage must be timeStamping alone, and critical"
            yield Fault(FaultCode.EXTENDED_KEY_USAGE, 0, text)
        return
    forbidden = [name for oid, name in _FORBIDDEN_USAGES.items() if oid in usages]
    if forbidden:
        text = f"{named}: extendedKeyUsage allows {', '.join(forbidden)}"
        yield Fault(FaultCode.EXTENDED_KEY_USAGE, 0, text)
    if extended is not None and Usage.CODE_SIGNING not in usages:
        text = f"{named}: extendedKeyUsage lacks codeSigning; with it, or without any, it would do"
        yield Fault(FaultCode.EXTENDED_KEY_USAGE, 0, text)


def ca_faults(certificate: x509.Certificate, position: int, use: Use) -> Iterator[Fault]:
    named = described(certificate, position)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca or not constraints.critical:
        text = f"{named} issues others, so its basicConstraints must say CA:TRUE and be critical"
        yield Fault(FaultCode.BASIC_CONSTRAINTS, position, text)
    else:
        below = position - 1
        allowed = constraints.value.path_length
        if allowed is not None and allowed < below:
            text = f"{named} allows {allowed} CA certificates below it, and there are {below}"
            yield Fault(FaultCode.PATH_LENGTH, position, text)
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.critical or not usage.value.key_cert_sign:
        text = f"{named} issues others, so its keyUsage must have keyCertSign and be critical"
        yield Fault(FaultCode.KEY_USAGE, position, text)
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    # notation ignores it, but Go's Verify, by which cosign goes for timestamps, lets a CA
    # narrow the usages of what it issues.
    if (
        use is Use.TIMESTAMPING
        and extended is not None
        and not {Usage.TIME_STAMPING, Usage.ANY_EXTENDED_KEY_USAGE} & set(extended.value)
    ):
        text = f"{named}: its extendedKeyUsage does not let it issue for timestamps"
        yield Fault(FaultCode.EXTENDED_KEY_USAGE, position, text)


def key_faults(certificate: x509.Certificate, position: int) -> Iterator[Fault]:
    named = described(certificate, position)
    is_leaf = position == 0
    match certificate.public_key():
        case rsa.RSAPublicKey(key_size=bits):
            if bits < MIN_RSA_BITS or (is_leaf and bits not in LEAF_RSA_BITS):
                wanted = "2048, 3072 or 4096 bits" if is_leaf else f"{MIN_RSA_BITS} bits or more"
                text = f"{named} has an RSA key of {bits} bits, not of {wanted}"
                yield Fault(FaultCode.KEY, position, text)
        case ec.EllipticCurvePublicKey(curve=curve):
            if curve.name not in _CURVES:
                text = f"{named} has a key on the curve {curve.name}, not P-256, P-384 or P-521"
                yield Fault(FaultCode.KEY, position, text)
        case ed25519.Ed25519PublicKey() if not is_leaf:
            pass
        case _:
            text = f"{named} has a key that is neither RSA nor on a NIST curve"
            yield Fault(FaultCode.KEY, position, text)


def _extension(certificate: x509.Certificate, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None
