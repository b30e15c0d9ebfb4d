"""What lies below an index: everything, once, within bounds."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from service.domain.digests import Descriptor, Digest
from service.domain.errors import IndexNotFollowedError, RegistryUnavailableError
from service.domain.limits import MAX_CHILDREN, MAX_INDEX_DEPTH
from service.domain.media_types import OCI_INDEX, OCI_MANIFEST
from service.domain.references import Repository
from service.operations.children import children_of
from service.ports.registry import Manifest

REPOSITORY = Repository("r.example", "app")


class Shelf:
    """The reading half of a registry that holds indexes; `broken` gives no answer for one."""

    def __init__(self) -> None:
        self.held: dict[Digest, bytes] = {}
        self.broken: Digest | None = None

    def manifest(self, repository: Repository, reference: str | Digest) -> Manifest | None:
        assert isinstance(reference, Digest)
        if reference == self.broken:
            raise RegistryUnavailableError
        content = self.held.get(reference)
        if content is None:
            return None
        return Manifest(Descriptor(OCI_INDEX, reference, len(content)), content)

    def put(self, *entries: dict[str, Any]) -> bytes:
        content = json.dumps({"mediaType": OCI_INDEX, "manifests": list(entries)}).encode()
        self.held[Digest.of(content)] = content
        return content


def image(name: object) -> dict[str, Any]:
    digest = str(Digest.of(str(name).encode()))
    return {"mediaType": OCI_MANIFEST, "size": 5, "digest": digest}


def inner(content: bytes) -> dict[str, Any]:
    digest = str(Digest.of(content))
    return {"mediaType": OCI_INDEX, "size": len(content), "digest": digest}


def names(shelf: Shelf, index: bytes) -> list[str]:
    return [str(c.descriptor.digest) for c in children_of(cast("Any", shelf), REPOSITORY, index)]


def test_an_index_in_an_index_is_a_child_and_followed() -> None:
    shelf = Shelf()
    deep = shelf.put(image("b"), image("a"))
    whole = shelf.put(image("a"), inner(deep), image("c"))
    digests = [one["digest"] for one in (image("a"), inner(deep), image("b"), image("c"))]
    assert names(shelf, whole) == digests


def test_an_index_that_is_listed_and_not_there_is_a_child_alone() -> None:
    shelf = Shelf()
    gone = shelf.put(image("a"))
    shelf.held.clear()
    assert names(shelf, shelf.put(inner(gone))) == [inner(gone)["digest"]]


def test_an_index_that_cannot_be_read_is_not_passed_over() -> None:
    shelf = Shelf()
    deep = shelf.put(image("a"))
    whole = shelf.put(inner(deep))
    shelf.broken = Digest.of(deep)
    with pytest.raises(RegistryUnavailableError):
        names(shelf, whole)


def test_too_many_manifests_and_too_deep_indexes_are_refused() -> None:
    shelf = Shelf()
    assert len(names(shelf, shelf.put(*map(image, range(MAX_CHILDREN))))) == MAX_CHILDREN
    with pytest.raises(IndexNotFollowedError, match="more than"):
        names(shelf, shelf.put(*map(image, range(MAX_CHILDREN + 1))))
    nested = shelf.put(image("a"))
    for _ in range(MAX_INDEX_DEPTH - 1):
        nested = shelf.put(inner(nested))
    assert len(names(shelf, nested)) == MAX_INDEX_DEPTH
    with pytest.raises(IndexNotFollowedError, match="deep"):
        names(shelf, shelf.put(inner(nested)))


def test_an_index_that_is_malformed_is_refused() -> None:
    with pytest.raises(IndexNotFollowedError, match="cannot be followed"):
        names(Shelf(), b"{}")
