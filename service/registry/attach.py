"""Attaches signatures under cosign's `.sig` tag (cosign SIGNATURE_SPEC.md, "Storage")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.clock import Clock
from service.domain.digests import Digest
from service.domain.references import Repository
from service.domain.signing import Attachable, SignatureLayer
from service.formats.lists import NewManifest
from service.formats.siglist import append_layers, listed_digests, signature_tag
from service.ports.registry import Attached
from service.registry.client import OCIClient
from service.registry.shared import SharedTag


class SigTagAttacher:
    """service.ports.registry.Attacher; keeps nothing, so any thread may use it."""

    def __init__(self, client: OCIClient, clock: Clock, shared: SharedTag) -> None:
        self._client = client
        self._clock = clock
        self._shared = shared

    def attach(
        self,
        repository: Repository,
        subject: Digest,
        contents: Sequence[Attachable],
        *,
        seconds: float,
    ) -> Attached:
        layers = [content for content in contents if isinstance(content, SignatureLayer)]
        if not layers or len(layers) != len(contents):
            raise ValueError("a list of signatures is made of at least one layer")
        there, wrote = self._shared.put(
            repository,
            signature_tag(subject),
            _Layers(self._client, repository, layers),
            deadline=self._clock.monotonic() + seconds,
        )
        held = there.descriptor
        return Attached(
            (held.digest,) * len(layers), held.media_type, str(held.digest), added=wrote
        )


@dataclass(frozen=True, slots=True)
class _Layers:
    """service.registry.shared.Contribution: signatures as layers."""

    client: OCIClient
    repository: Repository
    layers: Sequence[SignatureLayer]

    def merged(self, existing: bytes | None, *, without: frozenset[str]) -> NewManifest | None:
        return append_layers(existing, self.layers, without=without)

    def lost(self, existing: bytes | None, *, refused: bool, deadline: float) -> frozenset[str]:
        """Return the blobs that the list names and the registry has not, once it complains.

        Registries refuse a list that names one, so a single deleted payload would keep every
        new signature out for good; nobody can verify a signature without its payload.
        """
        if existing is None or not refused:
            return frozenset()
        return frozenset(
            str(digest)
            for digest in listed_digests(existing)
            if not self.client.has_blob(self.repository, digest, deadline=deadline)
        )

    def provide(self, new: NewManifest, *, first: bool, deadline: float) -> None:
        for content in dict.fromkeys((*(layer.content for layer in self.layers), *new.blobs)):
            # Where no list was, none of its blobs is expected: that saves two questions.
            self.client.upload_blob(
                self.repository, content, may_exist=not first, deadline=deadline
            )
