"""Certificate chains of key versions: what is recorded of them, and what is shown."""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from service.domain.subjects import Subject


class ChainOrigin(StrEnum):
    """Who vouches for a key: somebody else, or nobody but ourselves."""

    IMPORTED = "imported"
    OWN_CA = "own-ca"
    SELF_SIGNED = "self-signed"


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when, both included; whole seconds, as X.509 writes them."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class CertificateChain:
    """The certificates of one key version, leaf first, root last, each as DER.

    It was checked before it was recorded. `not_before` and `not_after` are those of the whole:
    when the last of its certificates begins to be valid, and when the first ends.
    """

    origin: ChainOrigin
    certificates: tuple[bytes, ...]
    subject: Subject
    not_before: datetime
    not_after: datetime

    @property
    def thumbprints(self) -> tuple[str, ...]:
        """Hex SHA-256 of each certificate, leaf first, as notation's annotation has them."""
        return thumbprints(self.certificates)

    def pem(self) -> str:
        return certificates_pem(self.certificates)


def thumbprints(certificates: Sequence[bytes]) -> tuple[str, ...]:
    """Return the hex SHA-256 of each certificate, in their order."""
    return tuple(sha256(der).hexdigest() for der in certificates)


def certificates_pem(certificates: Sequence[bytes]) -> str:
    return "".join(pem("CERTIFICATE", der) for der in certificates)


def pem(label: str, der: bytes) -> str:
    """Return `der` as RFC 7468 text of this label."""
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))
