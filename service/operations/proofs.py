"""Proof by our own record: step 9 has committed the signature, with the database's time."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.public_keys import public_key
from service.ports.proofs import ProvenTime, VerifiedSignature
from service.ports.store import SigningJournal


@dataclass(frozen=True, slots=True)
class RecordedProofs:
    """Holds for exactly the payload and the signature on record, however that is encoded."""

    journal: SigningJournal

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        version = made.version
        canonical = public_key(version.public_key).canonical
        wanted = canonical(made.signature)
        recorded = self.journal.of_version(version.key, version.version, made.digest)
        moments = [
            record.created_at
            for record in recorded
            if record.payload == made.payload and canonical(record.signature) == wanted
        ]
        if not moments:
            return None
        return ProvenTime(min(moments), "the service's own record")
