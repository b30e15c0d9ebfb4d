"""What proves when a signature was made: our own record, time stamps, promises of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.keys import KeyVersion, Purpose
from service.domain.public_keys import public_key
from service.ports.proofs import ProofsOfTime, ProvenTime, TellsDoubts, VerifiedSignature
from service.ports.store import KeyCatalog, SigningJournal
from service.verification.promises import PromiseInvalidError, check_promise
from service.verification.stamp_tokens import StampInvalidError
from service.verification.stamps import Stamp, TrustedAuthority, check_stamp


@dataclass(frozen=True, slots=True)
class RecordedProofs:
    """Proof by our own record: step 9 has committed the signature, with the database's time.

    Holds for exactly the payload and the signature on record, however that is encoded.
    """

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


@dataclass(frozen=True, slots=True)
class StampedProofs:
    """Proof by time stamps of authorities that are trusted now."""

    authorities: Callable[[], Sequence[TrustedAuthority]]

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        stamps = [one for one in self._judged(made) if isinstance(one, Stamp)]
        proven = [ProvenTime(one.at, f"a time stamp of {one.authority}") for one in stamps]
        return min(proven, key=lambda one: one.moment, default=None)

    def doubts(self, made: VerifiedSignature) -> Sequence[str]:
        return [f"its time stamp: {one}" for one in self._judged(made) if isinstance(one, str)]

    def _judged(self, made: VerifiedSignature) -> Sequence[Stamp | str]:
        """Return each stamp that is good, and what is wrong with each other one."""
        evidence = made.evidence
        authorities = self.authorities() if evidence.unverified_stamps else ()
        judged: list[Stamp | str] = []
        for token in evidence.unverified_stamps:
            try:
                judged.append(check_stamp(token, evidence.stamped, authorities, nonce=None))
            except StampInvalidError as error:
                judged.append(str(error))
        return judged


@dataclass(frozen=True, slots=True)
class PromisedProofs:
    """Proof by a signed entry timestamp of our own log."""

    keys: KeyCatalog

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        moments = [one for one in self._judged(made) if isinstance(one, datetime)]
        return ProvenTime(min(moments), "the transparency log") if moments else None

    def doubts(self, made: VerifiedSignature) -> Sequence[str]:
        return [one for one in self._judged(made) if isinstance(one, str)]

    def _judged(self, made: VerifiedSignature) -> Sequence[datetime | str]:
        """Return the time of each promise that is good, and what is wrong with each other one."""
        evidence = made.evidence
        if not evidence.unverified_promises:
            return ()
        # Who holds a key that was compromised can promise any time.
        logs = [v for v in self.keys.trusted_by_purpose(Purpose.LOG) if v.trusted]
        judged: list[datetime | str] = []
        for promise in evidence.unverified_promises:
            try:
                judged.append(check_promise(promise, evidence.bodies, logs))
            except PromiseInvalidError as error:
                judged.append(str(error))
        return judged


@dataclass(frozen=True, slots=True)
class AnyProof:
    """The earliest of what several kinds of proof prove."""

    kinds: Sequence[ProofsOfTime]

    def earliest(self, made: VerifiedSignature) -> ProvenTime | None:
        proven = [found for kind in self.kinds if (found := kind.earliest(made)) is not None]
        return min(proven, key=lambda one: one.moment, default=None)

    def doubts(self, made: VerifiedSignature) -> Sequence[str]:
        able = [kind for kind in self.kinds if isinstance(kind, TellsDoubts)]
        return [doubt for kind in able for doubt in kind.doubts(made)]


def own_authority(versions: Sequence[KeyVersion]) -> TrustedAuthority:
    """Return our own authority, by the trusted versions of keys for time stamps.

    Its keys are named, because one root vouches for them and for others: whoever holds one that
    was compromised can stamp any time.
    """
    chains = [(v.public_key, v.chain.certificates) for v in versions if v.trusted and v.chain]
    return TrustedAuthority(
        "this service",
        tuple(dict.fromkeys(chain[-1] for _, chain in chains)),
        keys=frozenset(key for key, _ in chains),
        between=tuple(dict.fromkeys(each for _, chain in chains for each in chain[1:-1])),
    )
