"""Writes a list under a tag that others write too: read, merge, write, read back, again.

Registries have no conditional write that they keep to, so the list is read back after each
write, and written again if ours is gone. The caller's lease makes this process the only
writer of ours; foreign writers are what the loop is for, and what overwrites us after it has
ended is put back by the next call.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, Protocol

from service.domain.clock import Clock
from service.domain.errors import AttachConflictError, RegistryRefusedError
from service.domain.references import Repository
from service.formats.lists import ListFullError, NewManifest, NotAListError
from service.ports.registry import Manifest
from service.registry.client import MissingContentError, OCIClient, TornReadError
from service.registry.session import Access

MAX_ROUNDS: Final = 8  # as many foreign writers in a row mean that somebody is in a loop
FIRST_PAUSE_SECONDS: Final = 0.1  # about as long as a foreign read-modify-write takes
MAX_PAUSE_SECONDS: Final = 2.0
TORN_READS: Final = 5  # in a row: then it is a fault, and the outbox's to wait for
TORN_PAUSE_SECONDS: Final = 0.02  # a link is written within a millisecond


class Contribution(Protocol):
    """What is to be in the list, and what must be at the registry before the list names it."""

    def merged(self, existing: bytes | None, *, without: frozenset[str]) -> NewManifest | None:
        """Return the list with ours in it, or None if there is nothing to change.

        `without` names what the registry does not hold (any more) and refuses to list.

        Raises:
            NotAListError, ListFullError.
        """
        ...

    def lost(self, existing: bytes | None, *, refused: bool, deadline: float) -> frozenset[str]:
        """Return what the list names and the registry does not hold, before a write.

        `refused`: the registry has just refused the list because something is missing.
        """
        ...

    def provide(self, new: NewManifest, *, first: bool, deadline: float) -> None:
        """Upload everything of ours that `new` names. `first`: there was no list before."""
        ...


class SharedTag:
    """Keeps nothing but its means, so any thread may use it."""

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

    def put(
        self, repository: Repository, tag: str, ours: Contribution, *, deadline: float
    ) -> tuple[Manifest, bool]:
        """Make sure that ours is in the list; return the list, and whether that took a write.

        Raises:
            AttachConflictError: others kept overwriting; RegistryUnavailableError,
            RegistryDeniedError, RegistryRefusedError, RegistryNotConfiguredError.
        """
        wrote = False
        lost: frozenset[str] = frozenset()
        for round_number in range(MAX_ROUNDS):
            # (1) Read the list and put ours into it; if all are there, there is no more to do.
            there = self._read(repository, tag, deadline)
            existing = None if there is None else there.content
            if _plan(ours, existing, tag, lost) is None:
                return _present(there), wrote
            # (2) Upload what it needs and write it. Nothing is sent after the deadline: the
            #     client refuses to.
            lost |= ours.lost(existing, refused=False, deadline=deadline)
            new = _plan(ours, existing, tag, lost)
            if new is None:
                return _present(there), wrote
            try:
                ours.provide(new, first=there is None, deadline=deadline)
                self._client.put_manifest(
                    repository, tag, new.content, new.media_type, deadline=deadline
                )
            except MissingContentError:
                lost = ours.lost(existing, refused=True, deadline=deadline)
            else:
                wrote = True
                # (3) Read it back: another writer may have had the old list in hand.
                there = self._read(repository, tag, deadline)
                existing = None if there is None else there.content
                if _plan(ours, existing, tag, lost) is None:
                    return _present(there), wrote
            self._pause(round_number, tag, deadline)
        raise AttachConflictError(f"{tag} was overwritten {MAX_ROUNDS} times in a row")

    def pause(self, round_number: int, deadline: float) -> bool:
        """Wait before another round, each time longer, and never as long as somebody else.

        Returns False, at once, if the time would be up before.
        """
        longest = min(FIRST_PAUSE_SECONDS * 2**round_number, MAX_PAUSE_SECONDS)
        pause = self._jittered(longest)
        if self._clock.monotonic() + pause >= deadline:
            return False
        self._sleep(pause)
        return True

    def _pause(self, round_number: int, tag: str, deadline: float) -> None:
        if not self.pause(round_number, deadline):
            raise AttachConflictError(f"{tag} was overwritten until the time was up")

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

    def _jittered(self, longest: float) -> float:
        return longest * (0.5 + self._jitter() / 2)


def _plan(
    ours: Contribution, existing: bytes | None, tag: str, lost: frozenset[str]
) -> NewManifest | None:
    try:
        return ours.merged(existing, without=lost)
    except NotAListError as error:
        # It is somebody else's: not to be overwritten, and perhaps gone at the next try.
        raise AttachConflictError(f"{tag} holds something else: {error}") from error
    except ListFullError as error:
        raise RegistryRefusedError(f"{tag} has no room: {error}") from error


def _present(there: Manifest | None) -> Manifest:
    if there is None:
        raise ValueError("a list that lacks nothing is there")
    return there
