"""Finds OpenPGP signatures where containers/image looks for them: at our own lookaside."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.digests import Digest
from service.domain.references import Repository
from service.formats.openpgp.message import signed_message
from service.operations.finders import Found
from service.ports.proofs import ProofsOfTime
from service.ports.registry import RegistryReader
from service.ports.store import SigningJournal
from service.verification.openpgp import judge
from service.verification.others import Trusted


@dataclass(frozen=True, slots=True)
class FindLookaside:
    """service.operations.finders.Finder.

    What the lookaside no longer serves because its key is compromised is found too: an image
    that had only such signatures is rejected, and not unsigned.
    """

    registry: RegistryReader
    journal: SigningJournal
    proofs: ProofsOfTime

    def __call__(self, repository: Repository, subject: Digest, trusted: Trusted) -> Found:
        public = self.registry.public_repository(repository)
        return Found(
            tuple(
                judge(
                    signed_message(one.payload, one.signature, one.scheme),
                    digest=subject,
                    keys=trusted.keys,
                    proofs=self.proofs,
                )
                for one in self.journal.at_lookaside(public, subject)
            )
        )
