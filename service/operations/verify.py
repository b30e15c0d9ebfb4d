"""Verification: finds what lies at the registry, and has it judged against pinned keys.

Each verification asks the registry anew. Only a well-formed 200 or 404 is an answer;
everything else makes the verdict `unknown`, never `unsigned`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.callers import Caller
from service.domain.digests import Digest
from service.domain.errors import (
    InvalidReferenceError,
    InvalidRequestError,
    RegistryDeniedError,
    RegistryNotConfiguredError,
    RegistryUnavailableError,
    ServiceError,
)
from service.domain.keys import KeyVersion, Purpose
from service.domain.references import Reference, Repository
from service.domain.verdicts import ImageVerdict, Reason, ReasonCode, SignatureVerdict, Verdict
from service.formats.siglist import signature_tag
from service.operations.decide import require_action
from service.operations.fanout import Fanout
from service.policy.roles import Action
from service.ports.proofs import ProofsOfTime
from service.ports.registry import RegistryReader
from service.ports.store import KeyCatalog
from service.verification.cosign import (
    FORMAT,
    ManifestMalformedError,
    UnverifiedLayer,
    judge,
    unverified_layers,
)
from service.verification.verdicts import conclude

_COULD_NOT_ASK = (RegistryUnavailableError, RegistryDeniedError, RegistryNotConfiguredError)


class _CouldNotTellError(Exception):
    """Ends the check of one image with `unknown` and this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifyImages:
    keys: KeyCatalog
    registry: RegistryReader
    fanout: Fanout
    proofs: ProofsOfTime

    def __call__(
        self, caller: Caller, references: Sequence[str], *, recursive: bool
    ) -> Sequence[ImageVerdict]:
        """Return a verdict for each reference, in order.

        Raises:
            ForbiddenError: the caller may not verify.
            StoreUnavailableError: the pinned keys, or the record that proves a time, could
                not be read.
        """
        require_action(caller, Action.VERIFY)
        if recursive:
            raise InvalidRequestError(
                "recursive verification is not offered by this version",
                errors={"recursive": ["must be false"]},
            )
        keys = [v for purpose in Purpose for v in self.keys.trusted_by_purpose(purpose)]
        return self.fanout.map(lambda reference: self._image(reference, keys), references)

    def _image(self, shown: str, keys: Sequence[KeyVersion]) -> ImageVerdict:
        digest = None
        try:
            reference = Reference.parse(shown)
            digest = self._digest(reference)
            return self._judged(shown, reference.repository, digest, keys)
        except InvalidReferenceError as error:
            reason = Reason(ReasonCode.INVALID_REFERENCE, str(error))
        except _COULD_NOT_ASK as error:
            reason = _unanswered(error)
        except _CouldNotTellError as error:
            reason = error.reason
        return ImageVerdict(shown, digest, Verdict.UNKNOWN, (reason,))

    def _digest(self, reference: Reference) -> Digest:
        """Resolve a tag; with a digest beside it, the two must agree."""
        self.registry.public_repository(reference.repository)
        if reference.tag is None:
            if reference.digest is None:
                raise InvalidReferenceError("the reference has neither digest nor tag")
            return reference.digest
        found = self.registry.resolve(reference.repository, reference.tag)
        if found is None:
            text = f"the registry has no {reference.repository}:{reference.tag}"
            raise _CouldNotTellError(Reason(ReasonCode.IMAGE_NOT_FOUND, text))
        if reference.digest is not None and found.digest != reference.digest:
            text = f"the tag {reference.tag} is {found.digest} at the registry"
            raise _CouldNotTellError(Reason(ReasonCode.TAG_DIGEST_MISMATCH, text))
        return found.digest

    def _judged(
        self, shown: str, repository: Repository, digest: Digest, keys: Sequence[KeyVersion]
    ) -> ImageVerdict:
        manifest = self.registry.manifest(repository, signature_tag(digest))
        found: list[SignatureVerdict] = []
        unanswered: list[Reason] = []
        if manifest is not None:
            try:
                layers = unverified_layers(manifest.content)
            except ManifestMalformedError as error:
                malformed = Reason(ReasonCode.MANIFEST_MALFORMED, str(error))
                found.append(SignatureVerdict(FORMAT, stands=False, reason=malformed))
                layers = ()
            for layer in layers:
                try:
                    found.append(self._layer(layer, repository, digest, keys))
                except _COULD_NOT_ASK as error:
                    unanswered.append(_unanswered(error))
        verdict, reasons = conclude(found, unanswered)
        public = str(self.registry.public_repository(repository))
        warnings = tuple(
            Reason(
                ReasonCode.IDENTITY_DIFFERS,
                f"a standing signature names {s.identity}, not {public}",
            )
            for s in found
            if s.stands and not _names(s.identity, public)
        )
        return ImageVerdict(shown, digest, verdict, reasons, tuple(found), warnings)

    def _layer(
        self,
        layer: UnverifiedLayer,
        repository: Repository,
        digest: Digest,
        keys: Sequence[KeyVersion],
    ) -> SignatureVerdict:
        payload = self.registry.blob(repository, layer.digest)
        if payload is None:
            text = f"the registry lists the payload {layer.digest} and does not hold it"
            reason = Reason(ReasonCode.PAYLOAD_UNAVAILABLE, text)
            return SignatureVerdict(FORMAT, stands=False, reason=reason)
        return judge(layer, payload, digest=digest, keys=keys, proofs=self.proofs)


def _unanswered(error: ServiceError) -> Reason:
    return Reason(ReasonCode(error.code), str(error), error.retry_after)


def _names(identity: str | None, repository: str) -> bool:
    if identity is None:
        return False
    try:
        return str(Reference.parse(identity).repository) == repository
    except InvalidReferenceError:
        return False
