"""What a bundle is checked against: a file, or the digest of one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

HASHES: Final = ("sha256", "sha384", "sha512")
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """`digests` by name; `content` is None where only a digest is known."""

    digests: Mapping[str, bytes]
    content: Callable[[], bytes] | None = None

    @property
    def sha256(self) -> bytes:
        return self.digests["sha256"]

    @classmethod
    def of_digest(cls, sha256: bytes) -> Self:
        return cls({"sha256": sha256})

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Raises OSError."""
        made = [hashlib.new(name) for name in HASHES]
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                for one in made:
                    one.update(chunk)
        digests = {one.name: one.digest() for one in made}
        return cls(digests, path.read_bytes)
