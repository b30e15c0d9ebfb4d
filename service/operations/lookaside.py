"""The lookaside: OpenPGP signatures of images, served beside the registry to anybody who asks.

An image's signatures are numbered from 1 without gaps, because clients stop at the first that
is missing; withdrawn ones and those of keys that do not count are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.digests import Digest
from service.domain.errors import NotFoundError, RegistryNotConfiguredError
from service.domain.keys import Purpose
from service.domain.references import Repository
from service.formats.openpgp.message import signed_message
from service.ports.registry import RegistryReader
from service.ports.store import KeyCatalog, SigningJournal


@dataclass(frozen=True, slots=True)
class Lookaside:
    journal: SigningJournal
    keys: KeyCatalog
    registry: RegistryReader

    def file(self, repository: Repository, digest: Digest, number: int) -> bytes:
        """Return signature `number` of an image.

        Raises:
            NotFoundError: it has not so many.
        """
        files = self.files(repository, digest)
        if not 1 <= number <= len(files):
            raise NotFoundError("the image has no signature of this number here")
        return files[number - 1]

    def files(self, repository: Repository, digest: Digest) -> Sequence[bytes]:
        """Return every signature of an image, in the order of their numbers."""
        try:
            public = self.registry.public_repository(repository)
        except RegistryNotConfiguredError as error:
            raise NotFoundError("no registry of this name is ours") from error
        found = self.journal.at_lookaside(public, digest)
        if not found:
            return ()
        trusted = {
            (v.key, v.version) for v in self.keys.trusted_by_purpose(Purpose.IMAGE) if v.trusted
        }
        return [
            signed_message(s.payload, s.signature, s.scheme)
            for s in found
            if (s.statement.key, s.statement.version) in trusted
        ]
