"""What trust files say: keys, where their signatures lie, and who vouches for time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.domain.keys import KeyVersion
from service.domain.public_keys import public_key


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """One key, its trusted versions in ascending order, and the newest active one."""

    name: str
    versions: tuple[KeyVersion, ...]
    newest: KeyVersion | None


@dataclass(frozen=True, slots=True)
class OtherAuthority:
    """Somebody else who stamps time for us; `chains` are of its CAs, DER, each up to a root."""

    name: str
    url: str
    chains: tuple[tuple[bytes, ...], ...]


@dataclass(frozen=True, slots=True)
class TrustFacts:
    """Everything that the files of one export are made of.

    `keys`: the one that `cosign.pub` is of comes first. `openpgp`: by key, its versions as one
    OpenPGP key file; a key that has none cannot be told to OpenPGP's verifiers. `authorities`:
    versions of timestamp keys, each with its chain; `others`: who stamps for us beside them. `url`: the service, as consumers reach it.
    """

    keys: tuple[TrustedKey, ...]
    for_images: bool = True
    registries: tuple[str, ...] = ()
    url: str = ""
    tlogs: tuple[Mapping[str, Any], ...] = ()
    authorities: tuple[KeyVersion, ...] = ()
    others: tuple[OtherAuthority, ...] = ()
    openpgp: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def are_stamped(self) -> bool:
        """Whether anybody vouches for time, so that signatures may carry stamps."""
        return bool(self.others) or any(v.chain is not None for v in self.authorities)

    def versions(self) -> tuple[KeyVersion, ...]:
        return tuple(version for key in self.keys for version in key.versions)

    def newest(self) -> KeyVersion | None:
        """Return the version for tools that take a single key."""
        return self.keys[0].newest if self.keys else None


def pem(version: KeyVersion) -> str:
    return public_key(version.public_key).pem()
