"""Rotation of a key that our own CA certified: its new version is certified in the same act.

Every format goes on working then: verifiers trust the root of the CA, and tell the versions
apart by the subjects of their leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.keys import Key
from service.operations.check_certificates import Signer
from service.operations.own_ca import LEAF_DAYS, OwnCA, place_of, signer_subject
from service.ports.certificates import CertificateBook
from service.verification.chains import validities


@dataclass(frozen=True, slots=True)
class CertifySuccessor:
    ca: OwnCA
    book: CertificateBook

    def check(self, key: Key) -> None:
        """Find out, before anything is made, whether a new version can be certified.

        Raises:
            CertificateAuthorityNotUsableError, CertificateSubjectTakenError.
        """
        before = _certified_by_us(key)
        if before is None:
            return
        self.ca.usable()
        number = key.newest() + 1
        subject = signer_subject(place_of(before.subject), key.name, number)
        self.book.check_subject(key.name, number, subject)

    def certify(self, key: Key, public_key: bytes, *, actor: str) -> CertificateChain | None:
        """Return the chain of the key's next version, to be recorded with it.

        None where our CA has not certified the version before. It names the same organisation,
        and is valid for as long as that one was made for.

        Raises:
            CertificateAuthorityNotUsableError, CertificateChainRefusedError, and what
            `CertificateMaker` raises.
        """
        before = _certified_by_us(key)
        if before is None:
            return None
        leaf, root = validities(before.certificates)
        # One that the end of its root has cut short says nothing of what was wanted.
        days = (leaf.end - leaf.begin).days if leaf.end < root.end else LEAF_DAYS
        signer = Signer(key.name, key.newest() + 1, key.purpose, public_key)
        return self.ca.issue(signer, place_of(before.subject), days=days, actor=actor)


def _certified_by_us(key: Key) -> CertificateChain | None:
    """Return the chain of what a new version takes the place of, if it is ours."""
    before = key.active() or key.versions[-1:]
    chains = [version.chain for version in before if version.chain is not None]
    ours = [chain for chain in chains if chain.origin is ChainOrigin.OWN_CA]
    return ours[-1] if ours else None
