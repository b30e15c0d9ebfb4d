"""Finds signatures under cosign's `.sig` tag."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.digests import Digest
from service.domain.references import Repository
from service.domain.verdicts import Reason, ReasonCode, SignatureVerdict
from service.formats.siglist import signature_tag
from service.operations.finders import COULD_NOT_ASK, Found, unanswered
from service.ports.proofs import ProofsOfTime
from service.ports.registry import RegistryReader
from service.verification.cosign import (
    FORMAT,
    ManifestMalformedError,
    UnverifiedLayer,
    judge,
    unverified_layers,
)
from service.verification.others import Trusted


@dataclass(frozen=True, slots=True)
class FindLayers:
    """service.operations.finders.Finder."""

    registry: RegistryReader
    proofs: ProofsOfTime

    def __call__(self, repository: Repository, subject: Digest, trusted: Trusted) -> Found:
        manifest = self.registry.manifest(repository, signature_tag(subject))
        if manifest is None:
            return Found()
        try:
            layers = unverified_layers(manifest.content)
        except ManifestMalformedError as error:
            malformed = Reason(ReasonCode.MANIFEST_MALFORMED, str(error))
            return Found((SignatureVerdict(FORMAT, stands=False, reason=malformed),))
        found: list[SignatureVerdict] = []
        open_questions: list[Reason] = []
        for layer in layers:
            try:
                found.append(self._layer(layer, repository, subject, trusted))
            except COULD_NOT_ASK as error:
                open_questions.append(unanswered(error))
        return Found(tuple(found), tuple(open_questions))

    def _layer(
        self,
        layer: UnverifiedLayer,
        repository: Repository,
        digest: Digest,
        trusted: Trusted,
    ) -> SignatureVerdict:
        payload = self.registry.blob(repository, layer.digest)
        if payload is None:
            text = f"the registry lists the payload {layer.digest} and does not hold it"
            reason = Reason(ReasonCode.PAYLOAD_UNAVAILABLE, text)
            return SignatureVerdict(FORMAT, stands=False, reason=reason)
        found = judge(layer, payload, digest=digest, keys=trusted.keys, proofs=self.proofs)
        if trusted.others is None:
            return found
        return trusted.others.layer(layer, payload, digest=digest, found=found)
