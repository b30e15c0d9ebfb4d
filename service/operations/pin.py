"""Step 3 of the signing cycle: from what a caller wrote to the one digest that it stands for."""

from __future__ import annotations

from service.domain.digests import Descriptor, Digest
from service.domain.errors import (
    ImageNotFoundError,
    InvalidReferenceError,
    TagDigestMismatchError,
)
from service.domain.references import Reference
from service.ports.registry import RegistryReader


def parsed(unverified_reference: str) -> Reference:
    """Raises InvalidReferenceError unless it names a repository, and a digest or a tag."""
    reference = Reference.parse(unverified_reference)
    if reference.digest is None and reference.tag is None:
        raise InvalidReferenceError("the reference has neither digest nor tag")
    return reference


def names_tag(unverified_reference: str) -> bool:
    """Whether a tag is, or may be, in it: that always has to be looked up."""
    name, at, _ = unverified_reference.partition("@")
    # A colon behind the last slash is one.
    return not at or ":" in name.rpartition("/")[2]


def resolved(registry: RegistryReader, reference: Reference) -> Descriptor:
    """Ask the registry; a tag that points elsewhere than the digest is an error, not a choice.

    Raises:
        InvalidReferenceError, ImageNotFoundError, TagDigestMismatchError, and whatever the
        registry's answer makes of it.
    """
    asked: str | Digest | None = reference.tag if reference.tag is not None else reference.digest
    if asked is None:
        raise InvalidReferenceError("the reference has neither digest nor tag")
    found = registry.resolve(reference.repository, asked)
    if found is None:
        raise ImageNotFoundError(f"the registry has no {reference}")
    if reference.digest is not None and found.digest != reference.digest:
        raise TagDigestMismatchError(
            f"{reference.repository}:{reference.tag} is {found.digest} at the registry, "
            f"not {reference.digest}"
        )
    return found
