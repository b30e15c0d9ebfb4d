"""Steps 2 to 5 of the signing cycle: from what a caller wrote to the exact bytes to be signed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.domain.callers import Caller
from service.domain.digests import Digest
from service.domain.errors import (
    DescriptorMismatchError,
    ForbiddenError,
    ImageNotFoundError,
    InvalidReferenceError,
    InvalidRequestError,
    KeyNotFoundError,
    KeyNotNamedError,
    KeyNotUsableError,
    PolicyDeniedError,
    ServiceError,
    TagDigestMismatchError,
    UnsupportedFormatError,
)
from service.domain.keys import Key, KeyVersion, Purpose, Scheme
from service.domain.limits import (
    MAX_ANNOTATION_KEY_CHARS,
    MAX_ANNOTATION_VALUE_CHARS,
    MAX_ANNOTATIONS,
    MAX_PAGE,
)
from service.domain.pages import PageRequest
from service.domain.references import Reference, Repository
from service.domain.signing import (
    RESERVED_ANNOTATION_PREFIX,
    ImageToSign,
    SigningRequest,
    Statement,
)
from service.operations.decide import require
from service.operations.fanout import Fanout
from service.policy.decisions import Deny
from service.policy.signing import SigningPolicy, may_claim, may_sign, usable_keys
from service.ports.formats import SignatureFormat
from service.ports.registry import RegistryReader
from service.ports.store import KeyCatalog

DEFAULT_FORMATS = ("cosign",)


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """One signature to be made: an image, a format and a key version. Equal only to itself."""

    item: int
    statement: Statement
    statement_hash: str
    version: KeyVersion
    scheme: Scheme
    payload: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """One item of the request, ready to be signed, or the error that ends it."""

    index: int
    shown: str
    item_id: str | None
    digest: Digest | None = None
    units: tuple[Unit, ...] = ()
    error: ServiceError | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What holds for every item of one request."""

    caller: Caller
    request: SigningRequest
    policy: SigningPolicy
    key: Key
    versions: tuple[KeyVersion, ...]
    forms: tuple[SignatureFormat, ...]
    annotations: tuple[tuple[str, str], ...]
    settled: Collection[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class PrepareItems:
    keys: KeyCatalog
    registry: RegistryReader
    formats: Mapping[str, SignatureFormat]
    policy: Callable[[], SigningPolicy]
    fanout: Fanout

    def __call__(
        self, caller: Caller, request: SigningRequest, *, settled: Collection[int]
    ) -> Sequence[Prepared]:
        """Prepare each item. Items in `settled` are authorised, and nothing more.

        Raises:
            ServiceError: about the request as a whole (its key, formats, annotations).
        """
        if request.recursive:
            raise InvalidRequestError(
                "recursive signing is not offered by this version",
                errors={"recursive": ["must be false"]},
            )
        key = self._choose_key(caller, request)
        plan = _Plan(
            caller,
            request,
            self.policy(),
            key,
            key.active(),
            self._choose_formats(request, key),
            checked_annotations(request.annotations),
            settled,
        )
        indexes = range(len(request.images))
        if any(self._asks_registry(plan, image) for image in request.images):
            return self.fanout.map(lambda index: self._item(plan, index), indexes)
        return [self._item(plan, index) for index in indexes]

    def _item(self, plan: _Plan, index: int) -> Prepared:
        image = plan.request.images[index]
        item = Prepared(index, image.unverified_reference, image.item_id)
        try:
            reference, repository = self._authorised(plan, image)
            if index in plan.settled:
                return item
            digest = self._resolved(plan, image, reference)
            units = _units(
                plan, index, image, reference=reference, repository=repository, digest=digest
            )
        except ServiceError as error:
            return replace(item, error=error)
        return replace(item, digest=digest, units=units)

    def _authorised(self, plan: _Plan, image: ImageToSign) -> tuple[Reference, Repository]:
        """(2) Decide, on data alone."""
        reference = Reference.parse(image.unverified_reference)
        if reference.digest is None and reference.tag is None:
            raise InvalidReferenceError("the reference has neither digest nor tag")
        repository = self.registry.public_repository(reference.repository)
        decision = may_sign(
            plan.policy,
            plan.caller,
            repository,
            key=plan.key.name,
            pinned=reference.digest is not None,
        )
        if isinstance(decision, Deny):
            raise PolicyDeniedError(*decision.reasons)
        if image.identity is not None:
            require(may_claim(plan.caller, image.identity, repository))
        return reference, repository

    def _resolved(self, plan: _Plan, image: ImageToSign, reference: Reference) -> Digest:
        """(3) Pin the digest; a tag that points elsewhere is an error, not a choice."""
        if reference.digest is not None and not self._asks_registry(plan, image):
            return reference.digest
        asked = reference.tag if reference.tag is not None else reference.digest
        if asked is None:
            raise InvalidReferenceError("the reference has neither digest nor tag")
        found = self.registry.resolve(reference.repository, asked)
        if found is None:
            raise ImageNotFoundError(f"the registry has no {reference}")
        if reference.digest is not None and found.digest != reference.digest:
            raise TagDigestMismatchError(
                f"{reference.repository}:{reference.tag} is {found.digest} at the registry, "
                f"not {reference.digest}"
            )
        given = image.unverified_descriptor
        if given is not None and given != (found.media_type, found.size):
            raise DescriptorMismatchError(
                f"the registry has {found.media_type} of {found.size} bytes"
            )
        return found.digest

    def _asks_registry(self, plan: _Plan, image: ImageToSign) -> bool:
        """Whether more than a pinned digest is needed (docs/api.md, Signing)."""
        if plan.request.attach or plan.policy.must_exist:
            return True
        # A tag always has to be looked up; a colon behind the last slash is one.
        name, at, _ = image.unverified_reference.partition("@")
        return not at or ":" in name.rpartition("/")[2]

    def _choose_key(self, caller: Caller, request: SigningRequest) -> Key:
        if request.key is not None:
            key = self.keys.get(request.key)
            if key is None:
                raise KeyNotFoundError(f"there is no key {request.key!r}")
        else:
            everything = self.keys.list(Purpose.IMAGE, PageRequest(MAX_PAGE)).items
            choices = usable_keys(caller, everything, Purpose.IMAGE)
            if len(choices) != 1:
                names = ", ".join(key.name for key in choices) or "none"
                raise KeyNotNamedError(f"the credential may use these image keys: {names}")
            key = choices[0]
        if not usable_keys(caller, (key,), key.purpose):
            raise ForbiddenError(f"the credential does not cover the key {key.name}")
        if key.purpose is not Purpose.IMAGE:
            raise KeyNotUsableError(f"{key.name} is a key for {key.purpose}, not for images")
        if not key.active():
            raise KeyNotUsableError(f"no version of {key.name} is active")
        return key

    def _choose_formats(self, request: SigningRequest, key: Key) -> tuple[SignatureFormat, ...]:
        names = DEFAULT_FORMATS if request.formats is None else dict.fromkeys(request.formats)
        unknown = [name for name in names if name not in self.formats]
        if unknown:
            known = ", ".join(sorted(self.formats))
            raise UnsupportedFormatError(f"unknown: {', '.join(unknown)}; known: {known}")
        if not names:
            raise InvalidRequestError("no format is asked for", errors={"formats": ["empty"]})
        forms = tuple(self.formats[name] for name in names)
        for form in forms:
            # Refused with its reason before the HSM is touched.
            form.scheme(key.algorithm)
        return forms


def _units(
    plan: _Plan,
    index: int,
    image: ImageToSign,
    *,
    reference: Reference,
    repository: Repository,
    digest: Digest,
) -> tuple[Unit, ...]:
    """(4) is decided by what `_choose_key` let through; (5) fix the exact bytes."""
    units = []
    for form in plan.forms:
        identity = image.identity
        if identity is None:
            identity = form.default_identity(repository, reference)
        payload = form.payload(digest, identity, plan.annotations)
        for version in plan.versions:
            statement = Statement(
                form.name,
                version.key,
                version.version,
                repository,
                digest,
                identity,
                plan.annotations,
            )
            scheme = form.scheme(version.algorithm)
            units.append(Unit(index, statement, statement.hash(), version, scheme, payload))
    return tuple(units)


def checked_annotations(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the annotations sorted.

    Raises:
        InvalidRequestError: too many, too long, empty names, or names that are ours.
    """
    faults: dict[str, object] = {}
    if len(annotations) > MAX_ANNOTATIONS:
        faults["annotations"] = [f"more than {MAX_ANNOTATIONS}"]
    for name, value in annotations.items():
        if name.startswith(RESERVED_ANNOTATION_PREFIX):
            faults[name[:100]] = [f"names beginning {RESERVED_ANNOTATION_PREFIX} are ours"]
        elif not name or len(name) > MAX_ANNOTATION_KEY_CHARS:
            faults[name[:100]] = [f"a name has 1 to {MAX_ANNOTATION_KEY_CHARS} characters"]
        elif len(value) > MAX_ANNOTATION_VALUE_CHARS:
            faults[name] = [f"a value has at most {MAX_ANNOTATION_VALUE_CHARS} characters"]
    if faults:
        raise InvalidRequestError("the annotations cannot be signed", errors=faults)
    return tuple(sorted(annotations.items()))
