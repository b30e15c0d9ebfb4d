"""Keeps signed what verifiers read, so that a server without an HSM can hand it out.

Most of what is published is signed in the act that makes it. The list of withdrawals and the OpenPGP
form of a key are signed when they are first wanted, which only a process that reaches the HSM can do.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from service.domain.errors import HSMUnavailableError, LogKeyMissingError
from service.domain.keys import KeyState, Purpose
from service.operations.openpgp_keys import OpenPGPKeys
from service.operations.withdrawals import Withdrawals
from service.ports.store import KeyCatalog


@dataclass(frozen=True, slots=True)
class KeepPublished:
    catalog: KeyCatalog
    openpgp_keys: OpenPGPKeys
    withdrawals: Withdrawals

    _kept: set[str] = field(default_factory=set)
    """The versions whose certification is on record: that is for good, and need not be asked."""

    def __call__(self) -> None:
        """Sign what is not; a key whose token is away keeps no other waiting.

        Raises:
            HSMUnavailableError: something is left to be signed.
            ServiceError: what `Withdrawals.current` raises.
        """
        # Before the first log key nothing is signed, and nothing can have been withdrawn.
        with suppress(LogKeyMissingError):
            self.withdrawals.current()
        left: list[HSMUnavailableError] = []
        for version in self.catalog.trusted_by_purpose(Purpose.IMAGE):
            if version.subject in self._kept or version.state is KeyState.DESTROYED:
                continue
            if not version.trusted:
                continue
            try:
                self.openpgp_keys.certified(version)
            except HSMUnavailableError as error:
                left.append(error)
            else:
                self._kept.add(version.subject)
        if left:
            raise left[0]
