"""Image references as docker parses them (distribution/reference, grammar in reference.go).

`ubuntu` means `docker.io/library/ubuntu`; the first component is a host only if it has a
dot, a colon or upper case, or is `localhost`. No tag is made up: who gives none gets none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from service.domain.digests import Digest
from service.domain.errors import InvalidReferenceError
from service.domain.limits import MAX_REFERENCE_CHARS, MAX_REPOSITORY_CHARS

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_IDENTIFIER = re.compile(r"[0-9a-f]{64}")
_DOCKER_HUB = "docker.io"


def _is_host(component: str) -> bool:
    return (
        "." in component
        or ":" in component
        or component == "localhost"
        or component.lower() != component
    )


def _split(name: str) -> tuple[str, str]:
    """Return host and path, with docker's defaults filled in."""
    first, slash, rest = name.partition("/")
    host, path = (first, rest) if slash and _is_host(first) else (_DOCKER_HUB, name)
    if host == "index.docker.io":
        host = _DOCKER_HUB
    if host == _DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    return host, path


@dataclass(frozen=True, slots=True, order=True)
class Repository:
    """A registry host with its port, and the path of a repository there."""

    host: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidReferenceError."""
        reference = Reference.parse(text)
        if reference.tag is not None or reference.digest is not None:
            raise InvalidReferenceError(f"a repository has neither tag nor digest: {text[:200]!r}")
        return cls(reference.repository.host, reference.repository.path)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository with a tag, a digest, both or neither."""

    repository: Repository
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `host/path[:tag][@sha256:…]`.

        Raises:
            InvalidReferenceError: the text is none, or its digest is not sha256.
        """
        shown = repr(text[:200])
        if len(text) > MAX_REFERENCE_CHARS:
            raise InvalidReferenceError(f"the reference has over {MAX_REFERENCE_CHARS} characters")
        name, at, digest_text = text.partition("@")
        digest = None
        if at:
            try:
                digest = Digest.parse(digest_text)
            except ValueError as error:
                raise InvalidReferenceError(
                    f"not a sha256 digest after the @ in {shown}"
                ) from error
        tag = None
        # A colon behind the last slash begins a tag; before it, a port.
        head, colon, last = name.rpartition(":")
        if colon and "/" not in last:
            name, tag = head, last
            if not _TAG.fullmatch(tag):
                raise InvalidReferenceError(f"not a tag behind the last colon of {shown}")
        if _IDENTIFIER.fullmatch(text):
            # docker takes 64 hex digits for the identifier of a local image.
            raise InvalidReferenceError(f"an image identifier, not a reference: {shown}")
        host, path = _split(name)
        if not _HOST.fullmatch(host):
            raise InvalidReferenceError(f"not a registry host in {shown}")
        if not _PATH.fullmatch(path) or len(path) > MAX_REPOSITORY_CHARS:
            raise InvalidReferenceError(f"not a repository path in {shown}")
        return cls(Repository(host, path), tag, digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.repository}{tag}{digest}"


NO_REPOSITORY: Final = Repository("", "")
"""On record for what names none; no reference is parsed to it."""
