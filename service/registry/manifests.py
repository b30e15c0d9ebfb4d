"""Reads manifests, and what headers say of them; what is not consistent is no answer."""

from __future__ import annotations

import json
from typing import Any, Final

from service.domain.digests import Descriptor, Digest
from service.domain.errors import RegistryUnavailableError
from service.domain.media_types import MANIFESTS
from service.registry.answers import Answer

ACCEPT: Final = ", ".join(MANIFESTS)


def head_says_absent(answer: Answer) -> bool:
    # A HEAD has no body; a registry's has the media type that its body would have had.
    return answer.media_type == "application/json" or answer.says_absent() is True


def named_digest(answer: Answer) -> Digest | None:
    """Return what Docker-Content-Digest says, None if nothing or in another algorithm."""
    try:
        return Digest.parse(answer.headers.get("docker-content-digest", ""))
    except ValueError:
        return None


def described(answer: Answer) -> Descriptor | None:
    """Return what the headers of a HEAD tell, or None if they do not tell all."""
    digest, length = named_digest(answer), answer.headers.get("content-length", "")
    if digest is None or not (length.isascii() and length.isdecimal()):
        return None
    if answer.media_type not in MANIFESTS or int(length[:20]) == 0:
        return None
    return Descriptor(answer.media_type, digest, int(length[:20]))


def compare(answer: Answer, asked: str | Digest, got: Digest) -> None:
    if isinstance(asked, Digest) and asked != got:
        raise RegistryUnavailableError(f"{answer.host} sent {got}, not {asked}")


def manifest_type(answer: Answer) -> str:
    """Return the manifest's media type if header and content agree on one that is known.

    OCI distribution 1.1, "Pulling manifests": the header MUST match a mediaType in the body.
    """
    try:
        document: Any = json.loads(answer.content)
        inside = document.get("mediaType", answer.media_type)
    except (ValueError, AttributeError, RecursionError) as error:
        raise RegistryUnavailableError(f"{answer.host} sent no JSON manifest") from error
    if inside != answer.media_type or inside not in MANIFESTS:
        raise RegistryUnavailableError(f"{answer.host} sent a manifest of no known type")
    return answer.media_type
