"""CA certificates that somebody names to be trusted: roots, and what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509

from service.verification.chains import MAX_CERTIFICATES, UNREADABLE, signed_by

_NO_CA: Final = (x509.ExtensionNotFound, *UNREADABLE)


def is_ca(der: bytes) -> bool:
    try:
        certificate = x509.load_der_x509_certificate(der)
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except _NO_CA:
        return False


def is_root(der: bytes) -> bool:
    """Return whether it is a CA certificate that is signed by its own key."""
    return is_ca(der) and _issued(der, der)


def ca_paths(certificates: Sequence[bytes]) -> tuple[tuple[bytes, ...], ...]:
    """Return the paths from each certificate that issues no other here up to its root.

    What leads to no root is left out.
    """
    issuers = {
        one: next((other for other in certificates if _issued(one, other)), None)
        for one in certificates
    }
    above = {issuer for one, issuer in issuers.items() if issuer is not None and issuer != one}
    paths = []
    for lowest in dict.fromkeys(one for one in certificates if one not in above):
        path = [lowest]
        while not is_root(path[-1]):
            issuer = issuers[path[-1]]
            if issuer is None or len(path) >= MAX_CERTIFICATES:
                break
            path.append(issuer)
        else:
            paths.append(tuple(path))
    return tuple(paths)


def _issued(certificate: bytes, issuer: bytes) -> bool:
    try:
        one, other = (x509.load_der_x509_certificate(der) for der in (certificate, issuer))
    except UNREADABLE:
        return False
    return signed_by(one, other)
