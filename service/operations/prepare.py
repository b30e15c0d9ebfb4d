"""Steps 2 to 5 of the signing cycle: from what a caller wrote to the exact bytes to be signed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.digests import Descriptor, Digest
from service.domain.errors import (
    DescriptorMismatchError,
    ImageNotFoundError,
    InvalidRequestError,
    PolicyDeniedError,
    ServiceError,
)
from service.domain.keys import Purpose
from service.domain.limits import MAX_SIGNATURES_PER_REQUEST
from service.domain.media_types import INDEXES
from service.domain.purposes import ImageKey, ImageVersion, image_key, image_versions
from service.domain.references import Reference, Repository
from service.domain.signing import ImageToSign, SigningRequest, Statement
from service.operations.children import Child, children_of
from service.operations.choose import checked_annotations, choose_formats, choose_key
from service.operations.decide import require
from service.operations.fanout import Fanout
from service.operations.pin import names_tag, parsed, resolved
from service.operations.units import Prepared, Unit, units_of
from service.policy.decisions import Deny
from service.policy.signing import SigningPolicy, may_claim, may_sign
from service.ports.formats import SignatureFormat
from service.ports.registry import RegistryReader
from service.ports.store import KeyCatalog


@dataclass(frozen=True, slots=True)
class _Plan:
    """What holds for every item of one request."""

    caller: Caller
    request: SigningRequest
    policy: SigningPolicy
    key: ImageKey
    versions: tuple[ImageVersion, ...]
    forms: tuple[SignatureFormat, ...]
    annotations: tuple[tuple[str, str], ...]
    at: datetime
    settled: Collection[int] = field(default_factory=frozenset)
    allowed: dict[tuple[Repository, bool], Repository] = field(default_factory=dict)
    """Whatever item found it out first: repositories that may be signed (pinned or not), each
    with its public name."""


@dataclass(frozen=True, slots=True)
class PrepareItems:
    keys: KeyCatalog
    registry: RegistryReader
    formats: Mapping[str, SignatureFormat]
    policy: Callable[[], SigningPolicy]
    fanout: Fanout
    clock: Clock

    def __call__(
        self, caller: Caller, request: SigningRequest, *, settled: Collection[int]
    ) -> Sequence[Prepared]:
        """Prepare each item. Items in `settled` are authorised, and nothing more.

        Raises:
            ServiceError: about the request as a whole (its key, formats, annotations).
        """
        key = image_key(choose_key(self.keys, caller, request.key, Purpose.IMAGE))
        plan = _Plan(
            caller,
            request,
            self.policy(),
            key,
            image_versions(key),
            choose_formats(self.formats, request.formats, key),
            checked_annotations(request.annotations),
            self.clock.now(),
            settled,
        )
        indexes = range(len(request.images))
        if any(_asks_registry(plan, image) for image in request.images):
            prepared = self.fanout.map(lambda index: self._item(plan, index), indexes)
        else:
            prepared = [self._item(plan, index) for index in indexes]
        if sum(1 for _ in units_of(prepared)) > MAX_SIGNATURES_PER_REQUEST:
            raise InvalidRequestError(
                f"the request asks for more than {MAX_SIGNATURES_PER_REQUEST} signatures",
                errors={"images": ["fewer images, formats, or indexes"]},
            )
        return prepared

    def _item(self, plan: _Plan, index: int) -> Prepared:
        image = plan.request.images[index]
        item = Prepared(index, image.unverified_reference, image.item_id)
        try:
            reference, repository = self._authorised(plan, image)
            if index in plan.settled:
                return item
            digest, descriptor = self._resolved(plan, image, reference)
            item = Prepared(index, item.shown, item.item_id, digest, descriptor)
            units = _units(plan, item, image, reference=reference, repository=repository)
            children = self._children(plan, item, image, reference, repository)
        except ServiceError as error:
            return Prepared(index, item.shown, item.item_id, error=error)
        return Prepared(
            index, item.shown, item.item_id, digest, descriptor, units=units, children=children
        )

    def _children(
        self,
        plan: _Plan,
        item: Prepared,
        image: ImageToSign,
        reference: Reference,
        repository: Repository,
    ) -> tuple[Prepared, ...]:
        """Prepare every manifest of an index as an item of its own, which fails alone."""
        described = item.descriptor
        if not plan.request.recursive or described is None or described.media_type not in INDEXES:
            return ()
        index = self.registry.manifest(reference.repository, described.digest)
        if index is None:
            raise ImageNotFoundError(f"the registry has no {reference.repository}@{item.digest}")
        return tuple(
            self._child(plan, item.index, child, image, reference=reference, repository=repository)
            for child in children_of(self.registry, reference.repository, index.content)
        )

    def _child(
        self,
        plan: _Plan,
        index: int,
        child: Child,
        image: ImageToSign,
        *,
        reference: Reference,
        repository: Repository,
    ) -> Prepared:
        digest = child.descriptor.digest
        shown = f"{reference.repository}@{digest}"
        item = Prepared(index, shown, None, digest, platform=child.platform)
        try:
            found = self.registry.resolve(reference.repository, digest)
            if found is None:
                raise ImageNotFoundError(f"the index lists {digest}, and the registry has it not")
            item = replace(item, descriptor=found)
            units = _units(plan, item, image, reference=reference, repository=repository)
        except ServiceError as error:
            return replace(item, error=error)
        return replace(item, units=units)

    def _authorised(self, plan: _Plan, image: ImageToSign) -> tuple[Reference, Repository]:
        """(2) Decide, on data alone."""
        reference = parsed(image.unverified_reference)
        question = (reference.repository, reference.digest is not None)
        repository = plan.allowed.get(question)
        if repository is None:
            repository = plan.allowed[question] = self._allowed(plan, *question)
        if image.identity is not None:
            require(may_claim(plan.caller, image.identity, repository))
        return reference, repository

    def _allowed(self, plan: _Plan, asked: Repository, pinned: bool) -> Repository:
        repository = self.registry.public_repository(asked)
        decision = may_sign(plan.policy, plan.caller, repository, key=plan.key.name, pinned=pinned)
        if isinstance(decision, Deny):
            raise PolicyDeniedError(*decision.reasons)
        return repository

    def _resolved(
        self, plan: _Plan, image: ImageToSign, reference: Reference
    ) -> tuple[Digest, Descriptor | None]:
        """(3) Pin the digest; a tag that points elsewhere is an error, not a choice."""
        given = image.unverified_descriptor
        if reference.digest is not None and not _asks_registry(plan, image):
            told = None if given is None else Descriptor(given[0], reference.digest, given[1])
            return reference.digest, told
        found = resolved(self.registry, reference)
        if given is not None and given != (found.media_type, found.size):
            raise DescriptorMismatchError(
                f"the registry has {found.media_type} of {found.size} bytes"
            )
        return found.digest, found


def _asks_registry(plan: _Plan, image: ImageToSign) -> bool:
    """Whether more than a pinned digest is needed (docs/api.md, Signing)."""
    if plan.request.attach or plan.request.recursive or plan.policy.must_exist:
        return True
    if image.unverified_descriptor is None and any(form.signs_descriptor for form in plan.forms):
        return True
    return names_tag(image.unverified_reference)


def _units(
    plan: _Plan,
    item: Prepared,
    image: ImageToSign,
    *,
    reference: Reference,
    repository: Repository,
) -> tuple[Unit, ...]:
    """(4) is decided by what `choose_key` let through; (5) fix the exact bytes."""
    if item.digest is None:
        return ()
    units = []
    for form in plan.forms:
        identity = image.identity
        if identity is None:
            identity = form.default_identity(repository, reference)
        for version in plan.versions:
            statement = Statement(
                form.name,
                version.key,
                version.version,
                repository,
                item.digest,
                identity,
                plan.annotations,
                item.descriptor if form.signs_descriptor else None,
            )
            payload = form.payload(statement, version=version, at=plan.at)
            scheme = form.scheme(version)
            units.append(
                Unit(
                    item.index,
                    statement,
                    statement.hash(),
                    version,
                    scheme,
                    payload,
                    item.descriptor,
                )
            )
    return tuple(units)
