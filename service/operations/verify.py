"""Verification: finds what lies at the registry, and has it judged by whose signatures count:
our pinned keys, and whom the trust policy names for a repository.

Each verification asks the registry anew. Only a well-formed 200 or 404 is an answer;
everything else makes the verdict `unknown`, never `unsigned`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from service.domain.callers import Caller
from service.domain.clock import Clock, SystemClock
from service.domain.digests import Digest
from service.domain.errors import IndexNotFollowedError, InvalidReferenceError
from service.domain.keys import KeyVersion, Purpose
from service.domain.media_types import INDEXES
from service.domain.references import Reference, Repository
from service.domain.verdicts import ImageVerdict, Reason, ReasonCode, SignatureVerdict, Verdict
from service.formats.simplesigning import CosignFormat
from service.operations.children import Child, children_of
from service.operations.decide import require_action
from service.operations.fanout import Fanout
from service.operations.finders import COULD_NOT_ASK, Finder, Found, unanswered
from service.policy.roles import Action
from service.policy.trust import TrustPolicy
from service.ports.registry import RegistryReader
from service.ports.store import KeyCatalog
from service.verification import stock
from service.verification.others import Trusted
from service.verification.verdicts import conclude, with_children

_LAYERS: Final = CosignFormat.name


class _CouldNotTellError(Exception):
    """Ends the check of one image with `unknown` and this reason."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifyImages:
    keys: KeyCatalog
    registry: RegistryReader
    finders: Sequence[Finder]
    fanout: Fanout
    children: Fanout
    """Another one, for the manifests of an index: its image waits in a thread of the first."""
    trust: Callable[[], TrustPolicy] = TrustPolicy
    clock: Clock = field(default_factory=SystemClock)

    def __call__(
        self, caller: Caller, references: Sequence[str], *, recursive: bool
    ) -> Sequence[ImageVerdict]:
        """Return a verdict for each reference, in order.

        With `recursive` an index is verified if it is, and every manifest in it.

        Raises:
            ForbiddenError: the caller may not verify.
            StoreUnavailableError: the pinned keys could not be read.
        """
        require_action(caller, Action.VERIFY)
        keys = [v for purpose in Purpose for v in self.keys.trusted_by_purpose(purpose)]
        return self.fanout.map(
            lambda reference: self._image(reference, keys, recursive=recursive), references
        )

    def _image(self, shown: str, keys: Sequence[KeyVersion], *, recursive: bool) -> ImageVerdict:
        digest = None
        try:
            reference = Reference.parse(shown)
            digest = self._digest(reference)
            verdict = self._judged(shown, reference.repository, digest, keys)
            if recursive:
                return self._with_children(verdict, reference.repository, digest, keys)
        except InvalidReferenceError as error:
            reason = Reason(ReasonCode.INVALID_REFERENCE, str(error))
        except IndexNotFollowedError as error:
            reason = Reason(ReasonCode.INDEX_NOT_FOLLOWED, str(error))
        except COULD_NOT_ASK as error:
            reason = unanswered(error)
        except _CouldNotTellError as error:
            reason = error.reason
        else:
            return verdict
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
        """Judge what every place holds of this one manifest."""
        trusted = Trusted.in_repository(str(repository), keys, self.trust(), self.clock)
        places = [self._found(finder, repository, digest, trusted) for finder in self.finders]
        found = [signature for place in places for signature in place.signatures]
        verdict, reasons = conclude(found, [r for place in places for r in place.unanswered])
        warnings = [
            *(reason for place in places for reason in place.warnings),
            *self._other_names(found, repository),
            *_stock_warnings(found, places),
        ]
        attestations = tuple(one for place in places for one in place.attestations)
        return ImageVerdict(
            shown, digest, verdict, reasons, tuple(found), tuple(warnings), attestations
        )

    def _found(
        self, finder: Finder, repository: Repository, digest: Digest, trusted: Trusted
    ) -> Found:
        try:
            return finder(repository, digest, trusted)
        except COULD_NOT_ASK as error:
            return Found(unanswered=(unanswered(error),))

    def _with_children(
        self,
        verdict: ImageVerdict,
        repository: Repository,
        digest: Digest,
        keys: Sequence[KeyVersion],
    ) -> ImageVerdict:
        manifest = self.registry.manifest(repository, digest)
        if manifest is None:
            text = f"the registry has no {repository}@{digest}"
            raise _CouldNotTellError(Reason(ReasonCode.IMAGE_NOT_FOUND, text))
        if manifest.descriptor.media_type not in INDEXES:
            return verdict
        children = self.children.map(
            lambda child: self._child(child, repository, keys),
            children_of(self.registry, repository, manifest.content),
        )
        return with_children(verdict, children)

    def _child(
        self, child: Child, repository: Repository, keys: Sequence[KeyVersion]
    ) -> ImageVerdict:
        digest = child.descriptor.digest
        judged = self._judged(f"{repository}@{digest}", repository, digest, keys)
        return replace(judged, platform=child.platform)

    def _other_names(
        self, found: Sequence[SignatureVerdict], repository: Repository
    ) -> list[Reason]:
        public = str(self.registry.public_repository(repository))
        return [
            Reason(
                ReasonCode.IDENTITY_DIFFERS,
                f"a standing signature names {s.identity}, not {public}",
            )
            for s in found
            if s.stands and not _names(s.identity, public)
        ]


def _stock_warnings(
    found: Sequence[SignatureVerdict], places: Sequence[Found]
) -> tuple[Reason, ...]:
    layers = [signature for signature in found if signature.format == _LAYERS]
    listed = [one for place in places for one in place.listed]
    return stock.warnings(layers, listed)


def _names(identity: str | None, repository: str) -> bool:
    """Whether the name is of this repository. A format without names claims no other."""
    if identity is None:
        return True
    try:
        return str(Reference.parse(identity).repository) == repository
    except InvalidReferenceError:
        return False
