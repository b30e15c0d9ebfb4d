"""Attaches manifests that refer to an image (OCI distribution 1.1, "Pushing Manifests with Subject").

A registry with the referrers API lists them by itself; for the others the client keeps the index
under the fallback tag, which is written as carefully as the `.sig` list. Which it is, is asked
each time: only that there is no API is remembered, and for minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import Final

from service.domain.clock import Clock
from service.domain.digests import Descriptor, Digest
from service.domain.errors import AttachConflictError, RegistryRefusedError
from service.domain.references import Repository
from service.domain.signing import Attachable, Referrer
from service.formats.lists import NewManifest
from service.formats.referrer import EMPTY
from service.formats.referrerlist import add_referrers, fallback_tag, listed_manifests
from service.ports.registry import Attached, Referrers
from service.registry.client import MissingContentError, OCIClient
from service.registry.listing import by_api, has_manifest
from service.registry.session import Access
from service.registry.shared import MAX_ROUNDS, SharedTag

MAX_LOOKS_BEFORE_A_WRITE: Final = 64  # at others' manifests; a write has seconds in all
NO_API_SECONDS: Final = 300.0  # so long may a registry that was given the API be written to by tag


class ReferrerAttacher:
    """service.ports.registry.Attacher for lists of referrers.

    `_lock` guards `_no_api`: until when (monotonic) each host is known to have no referrers API.
    """

    def __init__(self, client: OCIClient, clock: Clock, shared: SharedTag) -> None:
        self._client = client
        self._clock = clock
        self._shared = shared
        self._lock = Lock()
        self._no_api: dict[str, float] = {}

    def attach(
        self,
        repository: Repository,
        subject: Digest,
        contents: Sequence[Attachable],
        *,
        seconds: float,
    ) -> Attached:
        ours = [content for content in contents if isinstance(content, Referrer)]
        if not ours or len(ours) != len(contents):
            raise ValueError("a list of referrers is made of at least one manifest")
        pushes = _Pushes(self._client, repository, ours)
        deadline = self._clock.monotonic() + seconds
        seen = self._by_api(repository, subject, pushes, deadline)
        if seen is None:
            there, wrote = self._shared.put(
                repository, fallback_tag(subject), pushes, deadline=deadline
            )
            seen = str(there.descriptor.digest)
            # The index may have been in order while a manifest in it was not there.
            wrote |= pushes.missing(deadline)
            pushes.added |= wrote
        return Attached(
            tuple(referrer.digest for referrer in ours),
            ours[0].media_type,
            seen,
            added=pushes.added,
        )

    def _by_api(
        self, repository: Repository, subject: Digest, pushes: _Pushes, deadline: float
    ) -> str | None:
        """Push what the registry does not list until it does; None if it cannot list."""
        for round_number in range(MAX_ROUNDS):
            listed = self._listed(repository, subject, deadline)
            if listed is None:
                return None
            present = {str(entry.descriptor.digest) for entry in listed.entries}
            absent = [r for r in pushes.referrers if str(r.digest) not in present]
            if not listed.complete:
                # Somewhere behind what we read: then the manifest itself has to do.
                absent = [r for r in absent if not pushes.is_there(r, deadline)]
            if not absent:
                return sha256("\n".join(sorted(present)).encode()).hexdigest()
            if round_number and not self._shared.pause(round_number, deadline):
                break
            for referrer in absent:
                pushes.push(referrer, deadline)
        raise AttachConflictError("the registry takes the manifest and does not list it")

    def _listed(self, repository: Repository, subject: Digest, deadline: float) -> Referrers | None:
        with self._lock:
            if self._no_api.get(repository.host, 0.0) > self._clock.monotonic():
                return None
        listed = by_api(
            self._client, repository, subject, Access.push(repository), deadline=deadline
        )
        with self._lock:
            if listed is None:
                self._no_api[repository.host] = self._clock.monotonic() + NO_API_SECONDS
            else:
                self._no_api.pop(repository.host, None)
        return listed


@dataclass(slots=True)
class _Pushes:
    """service.registry.shared.Contribution: our manifests, and what is known of the others'.

    Lives for one call of `attach`. `alive` are manifests that were seen at the registry.
    """

    client: OCIClient
    repository: Repository
    referrers: Sequence[Referrer]
    added: bool = False
    alive: set[str] = field(default_factory=set)

    def merged(self, existing: bytes | None, *, without: frozenset[str]) -> NewManifest | None:
        return add_referrers(existing, self.referrers, without=without)

    def lost(self, existing: bytes | None, *, refused: bool, deadline: float) -> frozenset[str]:
        """Return the manifests that the index names and the registry has not.

        Some registries refuse an index that names one, and where they do not, notation gives up
        at it: a single deleted signature would keep every other from being found.
        """
        if refused:
            self.alive.clear()
        if existing is None:
            return frozenset()
        gone: set[str] = set()
        unseen = [one for one in listed_manifests(existing) if str(one.digest) not in self.alive]
        for listed in unseen if refused else unseen[:MAX_LOOKS_BEFORE_A_WRITE]:
            name = str(listed.digest)
            if has_manifest(self.client, self.repository, listed, deadline=deadline):
                self.alive.add(name)
            else:
                gone.add(name)
        return frozenset(gone)

    def provide(self, new: NewManifest, *, first: bool, deadline: float) -> None:
        for referrer in self.referrers:
            if str(referrer.digest) not in self.alive:
                self.push(referrer, deadline)

    def missing(self, deadline: float) -> bool:
        """Push those of ours that are not there; return whether there were any."""
        absent = [r for r in self.referrers if not self.is_there(r, deadline)]
        for referrer in absent:
            self.push(referrer, deadline)
        return bool(absent)

    def is_there(self, referrer: Referrer, deadline: float) -> bool:
        name = str(referrer.digest)
        if name not in self.alive:
            described = Descriptor(referrer.media_type, referrer.digest, len(referrer.manifest))
            if not has_manifest(self.client, self.repository, described, deadline=deadline):
                return False
            self.alive.add(name)
        return True

    def push(self, referrer: Referrer, deadline: float) -> None:
        """Upload the blobs, then the manifest by its digest."""
        for blob in referrer.blobs:
            # Only the empty blob is likely to be there: every artifact has it.
            self.client.upload_blob(
                self.repository, blob, may_exist=blob == EMPTY, deadline=deadline
            )
        try:
            self.client.put_manifest(
                self.repository,
                referrer.digest,
                referrer.manifest,
                referrer.media_type,
                deadline=deadline,
            )
        except MissingContentError as error:
            raise RegistryRefusedError(f"a manifest that refers to an image: {error}") from error
        self.alive.add(str(referrer.digest))
        self.added = True
