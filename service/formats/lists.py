"""What the lists under a tag have in common that many writers share."""

from __future__ import annotations

from dataclasses import dataclass


class NotAListError(ValueError):
    """Something else lies under the tag; whose it is nobody knows, so it stays."""


class ListFullError(ValueError):
    """The list would hold more than clients or registries read."""


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A manifest to be written, and the blobs that it needs beside its contents."""

    media_type: str
    content: bytes
    blobs: tuple[bytes, ...] = ()
