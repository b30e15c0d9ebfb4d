"""Signatures by our keys as they lie at registries, to be held against what the log holds.

One that the log does not hold was made past the service. Looked at is what clients look at: `.sig`
and `.att` tags, and the referrers (by the API or under the fallback tag) of every image that a
tag names, and of every manifest in it. An image without a tag cannot be found at a registry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from service.domain.digests import Digest
from service.domain.errors import IndexNotFollowedError, ServiceError
from service.domain.limits import MAX_BLOB_BYTES
from service.domain.media_types import INDEXES
from service.domain.public_keys import PublicKey
from service.domain.references import Repository
from service.operations.children import children_of
from service.operations.finders import COULD_NOT_ASK
from service.ports.registry import Manifest, ReferrerReader, RegistryReader, TagReader
from service.translog.signatures import signature_name
from service.verification.signed_at_registries import layers_of

_NOT_FOLLOWED: Final = (*COULD_NOT_ASK, IndexNotFollowedError)
_OF_COSIGN: Final = re.compile(r"sha256-([0-9a-f]{64})(\.sig|\.att)?")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A signature by one of our keys: the manifest that holds it, and the name it has in a log."""

    place: str
    key: PublicKey
    name: bytes


@dataclass(slots=True)
class Sightings:
    """What was seen, and what nobody could look at: so long nothing can be said of it."""

    found: list[Sighting] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OurSignatures:
    tags: TagReader
    registry: RegistryReader
    referrers: ReferrerReader

    def __call__(self, repositories: Sequence[Repository], keys: Sequence[PublicKey]) -> Sightings:
        """Look through whole repositories."""
        seen = Sightings()
        for repository in repositories:
            _Look(self, repository, keys, seen).at_everything()
        return seen


@dataclass(frozen=True, slots=True)
class _Look:
    """A look through one repository; what does not answer is noted, and the look goes on."""

    at: OurSignatures
    repository: Repository
    keys: Sequence[PublicKey]
    seen: Sightings

    def at_everything(self) -> None:
        subjects: dict[Digest, None] = {}
        for tag in self._every_tag():
            match = _OF_COSIGN.fullmatch(tag)
            if match is not None:
                subjects[Digest(match[1])] = None
            # What a tag names may hold signatures itself, whatever the tag looks like.
            manifest = self._manifest(tag)
            if manifest is None:
                continue
            self._at_layers(manifest)
            if match is None:
                subjects[manifest.descriptor.digest] = None
                subjects.update(dict.fromkeys(self._children(manifest)))
        for subject in subjects:
            self._at_referrers(subject)

    def _every_tag(self) -> Iterator[str]:
        try:
            yield from self.at.tags.tags(self.repository)
        except COULD_NOT_ASK as error:
            self._unanswered(str(self.repository), error)

    def _children(self, manifest: Manifest) -> Iterator[Digest]:
        if manifest.descriptor.media_type not in INDEXES:
            return
        try:
            for child in children_of(self.at.registry, self.repository, manifest.content):
                yield child.descriptor.digest
        except _NOT_FOLLOWED as error:
            self._unanswered(self._place(manifest.descriptor.digest), error)

    def _at_referrers(self, subject: Digest) -> None:
        try:
            listed = self.at.referrers.referrers(self.repository, subject)
        except COULD_NOT_ASK as error:
            self._unanswered(self._place(subject), error)
            return
        if not listed.complete:
            self.seen.unanswered.append(f"{self._place(subject)}: more refer to it than are read")
        for entry in listed.entries:
            manifest = self._manifest(entry.descriptor.digest)
            if manifest is not None:
                self._at_layers(manifest)

    def _manifest(self, reference: str | Digest) -> Manifest | None:
        try:
            return self.at.registry.manifest(self.repository, reference)
        except COULD_NOT_ASK as error:
            self._unanswered(self._place(reference), error)
            return None

    def _at_layers(self, manifest: Manifest) -> None:
        place = self._place(manifest.descriptor.digest)
        for layer in layers_of(manifest.content):
            if not layer.may_be_signed:
                continue
            if layer.descriptor.size > MAX_BLOB_BYTES:
                self.seen.unanswered.append(f"{place}: a layer larger than any signature")
                continue
            try:
                content = self.at.registry.blob(self.repository, layer.descriptor.digest)
            except COULD_NOT_ASK as error:
                self._unanswered(place, error)
                continue
            for one in layer.signatures(content or b""):
                key = one.signer(self.keys)
                if key is not None:
                    name = signature_name(key, one.signature)
                    self.seen.found.append(Sighting(place, key, name))

    def _place(self, reference: str | Digest) -> str:
        return f"{self.repository}{'@' if isinstance(reference, Digest) else ':'}{reference}"

    def _unanswered(self, place: str, error: ServiceError) -> None:
        self.seen.unanswered.append(f"{place}: {error}")
