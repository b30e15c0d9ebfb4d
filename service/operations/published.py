"""Keeps signed what verifiers read, so that a server without an HSM can hand it out.

Most of what is published is signed in the act that makes it. The list of withdrawals and the OpenPGP
form of a key are signed when they are first wanted, which only a process that reaches the HSM can do.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from service.domain.errors import LogKeyMissingError
from service.domain.keys import KeyState, Purpose
from service.operations.openpgp_keys import OpenPGPKeys
from service.operations.withdrawals import Withdrawals
from service.ports.store import KeyCatalog


@dataclass(frozen=True, slots=True)
class KeepPublished:
    catalog: KeyCatalog
    openpgp_keys: OpenPGPKeys
    withdrawals: Withdrawals

    def __call__(self) -> None:
        """Sign what is not. Raises what `Withdrawals.current` and `OpenPGPKeys` raise."""
        # Before the first log key nothing is signed, and nothing can have been withdrawn.
        with suppress(LogKeyMissingError):
            self.withdrawals.current()
        for version in self.catalog.trusted_by_purpose(Purpose.IMAGE):
            if version.state is not KeyState.DESTROYED and version.trusted:
                self.openpgp_keys.certified(version)
