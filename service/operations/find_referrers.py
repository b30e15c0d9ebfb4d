"""Finds signatures among the manifests that refer to an image, whatever their format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.attestations import COSIGN_SIGN
from service.domain.digests import Digest
from service.domain.limits import MAX_REFERRERS_READ
from service.domain.media_types import DOCKER_MANIFEST, OCI_MANIFEST
from service.domain.references import Repository
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.operations.fanout import Fanout
from service.operations.finders import COULD_NOT_ASK, Found, unanswered
from service.ports.registry import ListedReferrer, ReferrerReader, Referrers, RegistryReader
from service.verification.bundle import PREDICATE
from service.verification.bundles import LAYER_PREFIX
from service.verification.others import Trusted
from service.verification.referrers import (
    Judged,
    ReferrerJudge,
    UnverifiedReferrer,
    unverified_referrer,
)
from service.verification.stock import NOTATION, Listed


@dataclass(frozen=True, slots=True)
class FindReferrers:
    """service.operations.finders.Finder; each referrer goes to the judge that recognises it.

    `fanout` is its own: whoever looks for signatures does so in a thread of another.
    """

    registry: RegistryReader
    listing: ReferrerReader
    judges: Sequence[ReferrerJudge]
    fanout: Fanout

    def __call__(self, repository: Repository, subject: Digest, trusted: Trusted) -> Found:
        referrers = self.listing.referrers(repository, subject)
        found: list[SignatureVerdict] = []
        attestations: list[SignatureVerdict] = []
        listed: list[Listed] = []
        open_questions = _beyond(referrers)
        wanted = [
            entry
            for entry in _read_first(referrers.entries)
            # No client looks for signatures in anything else.
            if entry.descriptor.media_type in (OCI_MANIFEST, DOCKER_MANIFEST)
        ]
        for read in self.fanout.map(lambda e: self._read(e, repository, subject, trusted), wanted):
            if isinstance(read, Reason):
                open_questions.append(read)
                continue
            one, judged = read
            listed.append(one)
            if judged is not None and judged.verdict is not None:
                found.append(judged.verdict)
            if judged is not None and judged.attestation is not None:
                attestations.append(judged.attestation)
        return Found(
            tuple(found),
            tuple(open_questions),
            _faults(referrers),
            tuple(listed),
            tuple(attestations),
        )

    def _read(
        self,
        entry: ListedReferrer,
        repository: Repository,
        subject: Digest,
        trusted: Trusted,
    ) -> tuple[Listed, Judged | None] | Reason:
        try:
            return self._referrer(entry, repository, subject, trusted)
        except COULD_NOT_ASK as error:
            return unanswered(error)

    def _referrer(
        self,
        entry: ListedReferrer,
        repository: Repository,
        subject: Digest,
        trusted: Trusted,
    ) -> tuple[Listed, Judged | None]:
        digest = entry.descriptor.digest
        manifest = self.registry.manifest(repository, digest)
        if manifest is None:
            return Listed(digest, None), None
        referrer = unverified_referrer(digest, manifest.content)
        if referrer is None:
            return Listed(digest, UnverifiedReferrer(digest, "", (), {})), None
        judge = next((j for j in self.judges if j.recognises(referrer)), None)
        if judge is None:
            return Listed(digest, referrer), None
        judged = self._judged(judge, referrer, repository, subject, trusted)
        return (
            Listed(
                digest,
                referrer,
                is_bundle=judged.counts_as_bundle,
                signer=judged.signer,
                is_attestation=judged.verdict is None,
                other=judged.other,
            ),
            judged,
        )

    def _judged(
        self,
        judge: ReferrerJudge,
        referrer: UnverifiedReferrer,
        repository: Repository,
        subject: Digest,
        trusted: Trusted,
    ) -> Judged:
        wanted = judge.content(referrer)
        if isinstance(wanted, Judged):
            return wanted
        content = self.registry.blob(repository, wanted.digest)
        if content is None:
            text = f"the registry lists the signature {wanted.digest} and does not hold it"
            reason = Reason(ReasonCode.PAYLOAD_UNAVAILABLE, text)
            return Judged(SignatureVerdict(judge.format, stands=False, reason=reason))
        judged = judge.judge(content, subject=subject, keys=trusted.keys)
        if trusted.others is None:
            return judged
        return trusted.others.referrer(
            content, format_name=judge.format, subject=subject, found=judged
        )


def _read_first(entries: Sequence[ListedReferrer]) -> Sequence[ListedReferrer]:
    """Return as many as are read, in their order; of too many, those that look like signatures.

    What a list says is what a pusher wrote, or left out, so it can only set the order.
    """
    if len(entries) <= MAX_REFERRERS_READ:
        return entries
    numbers = sorted(range(len(entries)), key=lambda n: (not _looks_signed(entries[n]), n))
    return [entries[n] for n in sorted(numbers[:MAX_REFERRERS_READ])]


def _looks_signed(entry: ListedReferrer) -> bool:
    kind = entry.unverified_artifact_type or ""
    predicate = entry.unverified_annotations.get(PREDICATE, COSIGN_SIGN)
    return kind == NOTATION or (kind.startswith(LAYER_PREFIX) and predicate == COSIGN_SIGN)


def _beyond(referrers: Referrers) -> list[Reason]:
    """Return why nothing can be said of what lies behind what is read, if anything does."""
    if referrers.complete and len(referrers.entries) <= MAX_REFERRERS_READ:
        return []
    text = f"more manifests refer to the image than the {MAX_REFERRERS_READ} that are looked at"
    cure = "delete referrers that nobody needs"
    return [Reason(ReasonCode.TOO_MANY_REFERRERS, text, cure=cure)]


def _faults(referrers: Referrers) -> tuple[Reason, ...]:
    if referrers.fault is None:
        return ()
    text = f"no referrers are found, because of the fallback tag: {referrers.fault}"
    cure = "delete the tag, and sign the image again"
    return (Reason(ReasonCode.FALLBACK_INDEX_MALFORMED, text, cure=cure),)
