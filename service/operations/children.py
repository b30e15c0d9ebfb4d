"""The manifests of an index, however deep it goes: for signing and for verifying alike."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.digests import Descriptor, Digest
from service.domain.errors import IndexNotFollowedError
from service.domain.limits import MAX_CHILDREN, MAX_INDEX_DEPTH
from service.domain.references import Repository
from service.formats.indexes import IndexEntry, IndexMalformedError, entries_of
from service.ports.registry import RegistryReader


@dataclass(frozen=True, slots=True)
class Child:
    descriptor: Descriptor
    platform: str | None


def children_of(
    registry: RegistryReader, repository: Repository, index: bytes
) -> tuple[Child, ...]:
    """Return every manifest below an index, each once, in the order in which they are listed.

    An index that is listed and not there is a child without children: whoever asks for it
    finds that out.

    Raises:
        IndexNotFollowedError: malformed, too deep, or too many.
        RegistryUnavailableError, RegistryDeniedError: an index inside could not be read.
    """
    found: dict[Digest, Child] = {}
    _follow(registry, repository, _entries(index), found, depth=1)
    return tuple(found.values())


def _follow(
    registry: RegistryReader,
    repository: Repository,
    entries: tuple[IndexEntry, ...],
    found: dict[Digest, Child],
    *,
    depth: int,
) -> None:
    if depth > MAX_INDEX_DEPTH:
        raise IndexNotFollowedError(f"indexes lie in one another {MAX_INDEX_DEPTH} deep")
    for entry in entries:
        digest = entry.descriptor.digest
        if digest in found:
            continue
        found[digest] = Child(entry.descriptor, entry.platform)
        if len(found) > MAX_CHILDREN:
            raise IndexNotFollowedError(f"the index lists more than {MAX_CHILDREN} manifests")
        if entry.is_index:
            inner = registry.manifest(repository, digest)
            if inner is not None:
                _follow(registry, repository, _entries(inner.content), found, depth=depth + 1)


def _entries(content: bytes) -> tuple[IndexEntry, ...]:
    try:
        return entries_of(content)
    except IndexMalformedError as error:
        raise IndexNotFollowedError(f"the index cannot be followed: {error}") from error
