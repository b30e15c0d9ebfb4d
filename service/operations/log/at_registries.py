"""Entries of our log that lie at registries: one of the places that remember them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from service.domain.digests import Digest
from service.domain.references import Repository
from service.ports.registry import ReferrerReader, RegistryReader, TagReader
from service.verification.logged_at_registries import (
    entries_of_bundle,
    entries_of_sig,
    layers_of,
)

_OF_COSIGN: Final = re.compile(r"sha256-([0-9a-f]{64})(\.sig)?")


@dataclass(frozen=True, slots=True)
class LoggedAtRegistries:
    """Goes through whole repositories; `log_ids` name the log's keys."""

    tags: TagReader
    registry: RegistryReader
    referrers: ReferrerReader

    def entries(
        self, repository: Repository, *, log_ids: frozenset[bytes]
    ) -> Iterator[tuple[int, bytes]]:
        """Yield index and bytes of what the repository's signatures say is in the log.

        Raises:
            RegistryUnavailableError, RegistryDeniedError, RegistryNotConfiguredError.
        """
        subjects: dict[Digest, None] = {}
        for tag in self.tags.tags(repository):
            match = _OF_COSIGN.fullmatch(tag)
            if match is None:
                found = self.registry.resolve(repository, tag)
                if found is not None:
                    subjects[found.digest] = None
                continue
            subjects[Digest(match[1])] = None
            if match[2]:
                manifest = self.registry.manifest(repository, tag)
                if manifest is not None:
                    yield from entries_of_sig(manifest.content, log_ids=log_ids)
        for subject in subjects:
            yield from self._bundles(repository, subject, log_ids)

    def _bundles(
        self, repository: Repository, subject: Digest, log_ids: frozenset[bytes]
    ) -> Iterator[tuple[int, bytes]]:
        for entry in self.referrers.referrers(repository, subject).entries:
            manifest = self.registry.manifest(repository, entry.descriptor.digest)
            if manifest is None:
                continue
            for layer in layers_of(manifest.content):
                try:
                    digest = Digest.parse(layer)
                except ValueError:
                    continue
                content = self.registry.blob(repository, digest)
                if content is not None:
                    yield from entries_of_bundle(content, log_ids=log_ids)
