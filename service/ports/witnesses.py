"""Obligations of what speaks with witnesses, and of what keeps their cosignatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.domain.log import LogName, SignedHead


class WitnessSilentError(Exception):
    """The witness did not answer, or not within its limits; the text says how."""


@dataclass(frozen=True, slots=True)
class WitnessAnswer:
    status: int
    media_type: str
    content: bytes


class WitnessCalls(Protocol):
    """Speaks with one witness, at the one address that is configured for it."""

    @property
    def key(self) -> str:
        """Its verifier key (C2SP signed-note): name, id and public key, well-formed."""
        ...

    @property
    def logs(self) -> Sequence[LogName]:
        """Which logs it is asked about."""
        ...

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Ask for a cosignature, bounded in time and size; nothing is asked twice.

        Raises:
            WitnessSilentError: there was no answer.
        """
        ...


class Cosignatures(Protocol):
    """Keeps cosignatures that were checked, for good."""

    def keep(self, head: SignedHead, lines: Mapping[str, str]) -> None:
        """Keep signature lines on a published checkpoint by witness; the first of each stands."""
        ...

    def last_size(self, tree_id: int, witness: str) -> int:
        """Return the size of the largest checkpoint of the tree that it has cosigned, or 0."""
        ...

    def lines(self, tree_id: int, size: int) -> Sequence[str]:
        """Return the lines on one checkpoint, in the order in which they came."""
        ...

    def newest(self, log: LogName) -> SignedHead | None:
        """Return the newest checkpoint of the open tree that a witness has cosigned."""
        ...
