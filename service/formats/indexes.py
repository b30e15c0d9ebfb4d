"""Image indexes as their readers see them (OCI image-spec 1.1, image-index.md; Docker's lists)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service.domain.digests import Descriptor, Digest
from service.domain.media_types import INDEXES, MANIFESTS
from service.formats import strictjson


class IndexMalformedError(ValueError):
    """Two readers could see two lists in it, or nobody any."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A manifest that an index lists. `platform` is as in `linux/arm64/v8`, None if not told."""

    descriptor: Descriptor
    platform: str | None

    @property
    def is_index(self) -> bool:
        return self.descriptor.media_type in INDEXES


def entries_of(content: bytes) -> tuple[IndexEntry, ...]:
    """Return the manifests that an index lists, in its order; what is no manifest is no image.

    Manifests without a platform of their own, as buildx lists attestations (`unknown/unknown`),
    are manifests like the others: whoever knows the digest can pull them.

    Raises:
        IndexMalformedError: it is no index that can be followed.
    """
    try:
        index = strictjson.load(content)
    except strictjson.StrictJSONError as error:
        raise IndexMalformedError(str(error)) from error
    listed = index.get("manifests") if isinstance(index, dict) else None
    if not isinstance(listed, list):
        raise IndexMalformedError("it lists no manifests")
    entries = [_entry(one) for one in listed]
    return tuple(entry for entry in entries if entry.descriptor.media_type in MANIFESTS)


def _entry(listed: Any) -> IndexEntry:
    if not isinstance(listed, dict):
        raise IndexMalformedError("it lists something that is no descriptor")
    media_type, size, digest = (listed.get(name) for name in ("mediaType", "size", "digest"))
    if not isinstance(media_type, str) or not isinstance(size, int) or isinstance(size, bool):
        raise IndexMalformedError("it lists a manifest without media type or size")
    try:
        parsed = Digest.parse(str(digest))
    except ValueError as error:
        raise IndexMalformedError("it lists a manifest without a sha256 digest") from error
    return IndexEntry(Descriptor(media_type, parsed, size), _platform(listed.get("platform")))


def _platform(told: Any) -> str | None:
    if not isinstance(told, dict):
        return None
    parts = [told.get(name) for name in ("os", "architecture", "variant")]
    texts = [part for part in parts if isinstance(part, str) and part]
    return "/".join(texts) or None
