"""Content digests (OCI image specification 1.1, descriptor.md, "Digests"); sha256 only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Digest:
    """A well-formed sha256 digest; to hold one is proof that it was parsed."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError for anything that is not exactly `sha256:` and 64 lower-case hex digits."""
        match = _SHA256.fullmatch(text)
        if match is None:
            raise ValueError(f"not a sha256 digest: {text[:100]!r}")
        return cls(match[1])

    @classmethod
    def of(cls, content: bytes) -> Self:
        return cls(sha256(content).hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest is, as a referrer names it: media type, digest, size in bytes."""

    media_type: str
    digest: Digest
    size: int
