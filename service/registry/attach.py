"""Attaches signatures under cosign's `.sig` tag (cosign SIGNATURE_SPEC.md, "Storage").

Registries have no conditional write that they keep to, so the list is read back after each
write, and written again if ours is gone. The caller's lease makes this process the only
writer of ours; foreign writers are what the loop is for, and what overwrites us after it has
ended is put back by the next call.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from service.domain.clock import Clock
from service.domain.digests import Digest
from service.domain.errors import (
    AttachConflictError,
    RegistryRefusedError,
)
from service.domain.references import Repository
from service.domain.signing import SignatureLayer
from service.formats.siglist import (
    NewManifest,
    NotASignatureListError,
    SignatureListFullError,
    append_layers,
    listed_digests,
    signature_tag,
)
from service.ports.registry import Attached, Manifest
from service.registry.client import MissingBlobError, OCIClient, TornReadError
from service.registry.session import Access

MAX_ROUNDS: Final = 8  # as many foreign writers in a row mean that somebody is in a loop
FIRST_PAUSE_SECONDS: Final = 0.1  # about as long as a foreign read-modify-write takes
MAX_PAUSE_SECONDS: Final = 2.0
TORN_READS: Final = 5  # in a row: then it is a fault, and the outbox's to wait for
TORN_PAUSE_SECONDS: Final = 0.02  # a link is written within a millisecond


class SigTagAttacher:
    """service.ports.registry.Attacher; keeps nothing, so any thread may use it."""

    def __init__(
        self,
        client: OCIClient,
        clock: Clock,
        *,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter

    def attach(
        self,
        repository: Repository,
        subject: Digest,
        layers: Sequence[SignatureLayer],
        *,
        seconds: float,
    ) -> Attached:
        if not layers:
            raise ValueError("nothing to attach")
        deadline = self._clock.monotonic() + seconds
        tag = signature_tag(subject)
        wrote = False
        lost: frozenset[str] = frozenset()
        for round_number in range(MAX_ROUNDS):
            # (1) Read the list and put ours into it; if all are there, there is no more to do.
            there = self._read(repository, tag, deadline)
            new = _plan(there, layers, tag, lost)
            if new is None:
                return _attached(there, added=wrote)
            # (2) Upload what it needs and write it. Nothing is sent after the deadline: the
            #     client refuses to.
            try:
                self._write(repository, tag, new, layers, fresh=there is None, deadline=deadline)
            except MissingBlobError:
                lost = self._lost(repository, there, deadline)
            else:
                wrote = True
                # (3) Read it back: another writer may have had the old list in hand.
                there = self._read(repository, tag, deadline)
                if _plan(there, layers, tag, lost) is None:
                    return _attached(there, added=True)
            self._pause(round_number, tag, deadline)
        raise AttachConflictError(f"{tag} was overwritten {MAX_ROUNDS} times in a row")

    def _read(self, repository: Repository, tag: str, deadline: float) -> Manifest | None:
        access = Access.push(repository)
        attempt = 0
        while True:
            try:
                return self._client.manifest_until(repository, tag, access, deadline=deadline)
            except TornReadError as error:
                pause = self._jittered(TORN_PAUSE_SECONDS * 2**attempt)
                attempt += 1
                if attempt == TORN_READS or self._clock.monotonic() + pause >= deadline:
                    raise error.refusal from error
                self._sleep(pause)

    def _write(
        self,
        repository: Repository,
        tag: str,
        new: NewManifest,
        layers: Sequence[SignatureLayer],
        *,
        fresh: bool,
        deadline: float,
    ) -> None:
        for content in dict.fromkeys((*(layer.content for layer in layers), new.config)):
            # Where no list was, none of its blobs is expected: that saves two questions.
            self._client.upload_blob(repository, content, may_exist=not fresh, deadline=deadline)
        self._client.put_manifest(repository, tag, new.content, new.media_type, deadline=deadline)

    def _lost(
        self, repository: Repository, there: Manifest | None, deadline: float
    ) -> frozenset[str]:
        """Return the blobs that the list names and the registry has not.

        Registries refuse a list that names one, so a single deleted payload would keep every
        new signature out for good; nobody can verify a signature without its payload.
        """
        listed = () if there is None else listed_digests(there.content)
        return frozenset(
            str(digest)
            for digest in listed
            if not self._client.has_blob(repository, digest, deadline=deadline)
        )

    def _pause(self, round_number: int, tag: str, deadline: float) -> None:
        """Wait before another round, each time longer, and never as long as somebody else."""
        longest = min(FIRST_PAUSE_SECONDS * 2**round_number, MAX_PAUSE_SECONDS)
        pause = self._jittered(longest)
        if self._clock.monotonic() + pause >= deadline:
            raise AttachConflictError(f"{tag} was overwritten until the time was up")
        self._sleep(pause)

    def _jittered(self, longest: float) -> float:
        return longest * (0.5 + self._jitter() / 2)


def _plan(
    there: Manifest | None, layers: Sequence[SignatureLayer], tag: str, lost: frozenset[str]
) -> NewManifest | None:
    try:
        return append_layers(None if there is None else there.content, layers, without=lost)
    except NotASignatureListError as error:
        # It is somebody else's: not to be overwritten, and perhaps gone at the next try.
        raise AttachConflictError(f"{tag} holds something else than signatures: {error}") from error
    except SignatureListFullError as error:
        raise RegistryRefusedError(f"{tag} has no room: {error}") from error


def _attached(there: Manifest | None, *, added: bool) -> Attached:
    if there is None:
        raise ValueError("a list that holds signatures is there")
    return Attached(there.descriptor.digest, there.descriptor.media_type, added=added)
