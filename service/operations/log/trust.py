"""What verifiers need to trust of the logs: the keys, under the names of the trees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.domain.keys import KeyVersion
from service.domain.log import LogName
from service.ports.log import LogReader
from service.ports.store import KeyCatalog
from service.translog.trustedroot import LogKey, tlogs


@dataclass(frozen=True, slots=True)
class TrustedLogs:
    reader: LogReader
    keys: KeyCatalog

    def __call__(self) -> list[dict[str, Any]]:
        """Return the `tlogs` of sigstore's trusted root: every key of every tree.

        A key that was compromised at a known time ends then; one of which nobody knows the
        time is left out.
        """
        found: list[dict[str, Any]] = []
        for tree in self.reader.trees(LogName.SIGNATURES):
            key = self.keys.get(tree.key)
            if key is not None:
                found += tlogs(tree.name, list(_trusted(key.versions)))
        return found


def _trusted(versions: Iterable[KeyVersion]) -> Iterable[LogKey]:
    for version in versions:
        if version.trusted:
            yield LogKey(version.public_key, version.created_at)
        elif version.compromised_since is not None:
            yield LogKey(version.public_key, version.created_at, version.compromised_since)
