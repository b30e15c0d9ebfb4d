"""Obligations of what makes certificates, and of the book that keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.domain.certificates import CertificateChain, Validity
from service.domain.keys import KeyVersion, Purpose
from service.domain.purposes import CAVersion
from service.domain.subjects import Subject


class CertificateMaker(Protocol):
    """Signs requests and certificates with keys in the HSM.

    Everything is DER. Each method raises what `Signer.sign` returns as an item's failure:
    HSMUnavailableError, KeyMissingOnTokenError, PINRefusedError, SignatureCheckFailedError.
    """

    def request(self, version: KeyVersion, subject: Subject) -> bytes:
        """Return a PKCS#10 request (RFC 2986) that asks for what the version's purpose needs."""
        ...

    def root(self, ca: CAVersion, subject: Subject, validity: Validity) -> bytes:
        """Return the self-signed certificate of a CA key, marked as self-made."""
        ...

    def leaf(
        self,
        ca: CAVersion,
        root: bytes,
        *,
        public_key: bytes,
        purpose: Purpose,
        subject: Subject,
        validity: Validity,
    ) -> bytes:
        """Return a signer's certificate, issued by the CA key whose certificate `root` is."""
        ...

    def lone(self, version: KeyVersion, subject: Subject, validity: Validity) -> bytes:
        """Return a signer's certificate that is signed by the key that it is about."""
        ...


class CertificateBook(Protocol):
    """The chain that each version has now. A chain that was replaced is kept, and so is its name.

    Each method may raise StoreUnavailableError, as `service.ports.store` says.
    """

    def check_subject(self, name: str, number: int, subject: Subject) -> None:
        """Raise CertificateSubjectTakenError where another version's leaf, now or ever, has a
        subject that verifiers could not tell from this one (`Subject.covers`, either way).
        """
        ...

    def record(self, name: str, number: int, chain: CertificateChain, *, actor: str) -> KeyVersion:
        """Make it the version's chain, with the audit event, and return the version with it.

        Raises:
            KeyNotFoundError; CertificateSubjectTakenError, as above, in one transaction.
        """
        ...

    def in_use(self) -> Sequence[KeyVersion]:
        """Return the versions that have a chain and sign, or may yet: not those that are over."""
        ...
