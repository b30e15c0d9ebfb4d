"""Judges time stamps (RFC 3161, 5816; CMS: RFC 5652) against the authorities that are trusted.

A stamp proves that the bytes it is over existed at its time, if an authority's key has signed
exactly that, in a token that names its certificate, and if the certificates led to a trusted root
at that time. What came of them later is no matter: they are in the token for good. Stricter than
the RFCs only where cosign, notation-go or `openssl ts` are: one signer, SHA-2, no `ESSCertID`
with SHA-1, extendedKeyUsage critical and alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from service.verification.certificate_rules import FaultCode, Use
from service.verification.chains import (
    MAX_CERTIFICATES,
    UNREADABLE,
    ChainInvalidError,
    check_chain,
    signed_by,
)
from service.verification.stamp_tokens import StampFault, StampInvalidError, Token, read_token


@dataclass(frozen=True, slots=True)
class TrustedAuthority:
    """Whose stamps are believed: `roots` are DER certificates.

    `keys`: the public keys (DER SubjectPublicKeyInfo) that may stamp, None for all that a root
    vouches for. `between` are certificates that tokens may leave out.
    """

    name: str
    roots: tuple[bytes, ...]
    keys: frozenset[bytes] | None = None
    between: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """A stamp that was checked: what it is over existed at `at`, as `authority` has it.

    `at` is the latest time that its accuracy leaves open.
    """

    authority: str
    at: datetime
    told: datetime
    """The time as the token tells it."""


def check_stamp(
    token: bytes, message: bytes, authorities: Sequence[TrustedAuthority], *, nonce: int | None
) -> Stamp:
    """Check a token (ContentInfo) over `message`; with a `nonce` it must hold this one.

    Raises:
        StampInvalidError: with the first thing that is wrong.
    """
    read = read_token(token)
    if read.hashed(message) != read.imprint:
        raise StampInvalidError(StampFault.OTHER_CONTENT, "it is over something else")
    if nonce is not None and read.nonce != nonce:
        raise StampInvalidError(StampFault.OTHER_NONCE, "it answers another query")
    leaf = read.signed_by()
    fault = StampInvalidError(StampFault.UNTRUSTED, "no authority is trusted here")
    for authority in authorities:
        try:
            _check_certificates(leaf, read, authority)
        except StampInvalidError as error:
            # Of one who is trusted and whose certificate has ended that is the better reason.
            fault = fault if fault.fault is StampFault.EXPIRED else error
        else:
            return Stamp(authority.name, read.latest, read.at)
    raise fault


def _check_certificates(leaf: bytes, read: Token, authority: TrustedAuthority) -> None:
    """Raise StampInvalidError unless the authority's root vouched for the leaf at that time."""
    path = _path(leaf, (*read.certificates, *authority.between), authority.roots)
    if path is None:
        raise StampInvalidError(StampFault.UNTRUSTED, "its certificates lead to no trusted root")
    try:
        chain = check_chain(path, use=Use.TIMESTAMPING, at=read.at)
    except ChainInvalidError as error:
        expired = all(fault.code is FaultCode.VALIDITY for fault in error.faults)
        fault = StampFault.EXPIRED if expired else StampFault.UNTRUSTED
        raise StampInvalidError(fault, str(error)) from error
    if authority.keys is not None and chain.public_key not in authority.keys:
        text = "the key that has stamped is not trusted, whoever vouches for it"
        raise StampInvalidError(StampFault.UNTRUSTED, text)


def _path(
    leaf: bytes, between: Sequence[bytes], roots: Sequence[bytes]
) -> tuple[bytes, ...] | None:
    """Return the certificates from the leaf to one of the roots, or None."""
    known = [*_parsed(roots), *_parsed(between)]
    path, current = [leaf], x509.load_der_x509_certificate(leaf)
    while path[-1] not in roots:
        issuer = next((one for one in known if signed_by(current, one[1])), None)
        if issuer is None or issuer[0] in path or len(path) >= MAX_CERTIFICATES:
            return None
        path.append(issuer[0])
        current = issuer[1]
    return tuple(path)


def _parsed(certificates: Sequence[bytes]) -> Iterator[tuple[bytes, x509.Certificate]]:
    for der in certificates:
        try:
            yield der, x509.load_der_x509_certificate(der)
        except UNREADABLE:
            continue  # nobody is issued by what cannot be read
