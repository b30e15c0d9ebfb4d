"""What every chain goes through before it is recorded, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.audit import AuditEvent
from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.errors import CertificateChainRefusedError
from service.domain.keys import KeyVersion, Purpose
from service.domain.subjects import Subject
from service.ports.store import AuditTrail
from service.verification.certificate_rules import USE_OF
from service.verification.chains import ChainInvalidError, check_chain


@dataclass(frozen=True, slots=True)
class Signer:
    """What is to be certified: a version, which may not be on record yet."""

    key: str
    version: int
    purpose: Purpose
    public_key: bytes

    @classmethod
    def of(cls, version: KeyVersion) -> Signer:
        return cls(version.key, version.version, version.purpose, version.public_key)


def checked(
    unverified: Sequence[bytes], signer: Signer, origin: ChainOrigin, *, at: datetime
) -> CertificateChain:
    """Judge a chain, leaf first, that is to be the signer's.

    Raises:
        CertificateChainRefusedError: with every reason.
    """
    try:
        chain = check_chain(unverified, use=USE_OF[signer.purpose], at=at)
    except ChainInvalidError as error:
        raise refused(error) from error
    if chain.public_key != signer.public_key:
        raise CertificateChainRefusedError(
            f"wrong-key: the first certificate is not for the key of {signer.key} version "
            f"{signer.version}, but for another one"
        )
    return CertificateChain(
        origin, chain.certificates, chain.subject, chain.not_before, chain.not_after
    )


def refused(error: ChainInvalidError) -> CertificateChainRefusedError:
    return CertificateChainRefusedError(*(f"{f.code}: {f.text}" for f in error.faults))


def begin(
    audit: AuditTrail, signer: Signer, subject: Subject, *, by: KeyVersion, actor: str
) -> None:
    """Write down what is about to be signed in the HSM, and by which key."""
    details = {"subject": subject.text(), "by": f"{by.key}/{by.version}"}
    what = f"{signer.key}/{signer.version}"
    audit.append([AuditEvent("certificate.issuing-begun", actor, what, details)])
