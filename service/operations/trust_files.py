"""Files for verifiers' own tools: which keys they name, and everything else that they say.

Every version counts that was never compromised, whatever became of it: signatures outlive the
key that made them. Suspended ones are among them, as in verification here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.domain.errors import (
    CertificateNotFoundError,
    KeyNotFoundError,
    KeyNotUsableError,
)
from service.domain.keys import Key, KeyState, KeyVersion, Purpose
from service.domain.limits import MAX_PAGE
from service.domain.pages import PageRequest
from service.domain.withdrawals import published
from service.formats.trustfiles import containers, kubernetes, notation
from service.formats.trustfiles.directory import directory
from service.formats.trustfiles.facts import OtherAuthority, TrustedKey, TrustFacts, pem
from service.formats.trustfiles.trustedroot import trusted_root
from service.operations.log import TrustedLogs
from service.operations.openpgp_keys import OpenPGPKeys
from service.operations.withdrawals import Withdrawals
from service.ports.registry import RegistryNames
from service.ports.store import KeyCatalog

ROOT_AND_LEAF = 2  # clients take no time from an authority that vouches for itself


@dataclass(frozen=True, slots=True)
class TrustFiles:
    """Each call takes the name of a key, or None for every key of purpose `image`.

    Where they say so they raise KeyNotFoundError (no such key, or none at all) and
    KeyNotUsableError: the key is not for what the file is about. A key for attestations is in no
    policy for images: cosign takes any attestation, also of a failing scan, for a signature.
    """

    catalog: KeyCatalog
    registries: RegistryNames
    logs: TrustedLogs
    withdrawals: Withdrawals
    openpgp_keys: OpenPGPKeys
    others: tuple[OtherAuthority, ...] = ()
    """Who stamps for us beside our own authority."""

    def cosign(self, key: str | None) -> str:
        """Return the newest active version as PEM; of several keys the oldest one's."""
        newest = self._facts(key).newest()
        if newest is None:
            raise KeyNotUsableError("no version is active")
        return pem(newest)

    def trusted_root(self, url: str) -> dict[str, Any]:
        return trusted_root(self.logs(), self._authorities(), url=url, others=self.others)

    def notation(self, key: str | None) -> dict[str, Any]:
        """Raises CertificateNotFoundError: no trusted version has a subject to be named."""
        facts = self._facts_on_images(key)
        if not notation.subjects(facts.versions()):
            raise CertificateNotFoundError("no trusted version has a certificate for notation")
        are_stamped = bool(self.others or self._authorities())
        return notation.trust_policy(facts.versions(), are_stamped=are_stamped)

    def containers(self, key: str | None) -> dict[str, Any]:
        return containers.sigstore_policy(self._facts_on_images(key))

    def kyverno(self, key: str | None) -> bytes:
        return kubernetes.kyverno(self._facts_on_images(key))

    def policy_controller(self, key: str | None) -> bytes:
        return kubernetes.policy_controller(self._facts_on_images(key))

    def openshift(self, key: str | None) -> bytes:
        facts = self._facts_on_images(key)
        newest = facts.newest()
        if newest is None:
            raise KeyNotUsableError("no version is active")
        return kubernetes.openshift(facts, newest)

    def everything(self, key: str | None, url: str) -> dict[str, bytes]:
        """Return the whole export: each file by its path. `url` is how consumers reach us.

        Raises also what `Withdrawals.current` and `OpenPGPKeys.key_file` do.
        """
        return directory(
            self._facts(key, url=url, whole=True), published(self.withdrawals.current())
        )

    def _facts_on_images(self, key: str | None) -> TrustFacts:
        facts = self._facts(key)
        if not facts.for_images:
            raise KeyNotUsableError(f"{key} is a key for attestations, and this file is on images")
        if not facts.versions():
            raise KeyNotUsableError("no version is trusted")
        return facts

    def _facts(self, name: str | None, *, url: str = "", whole: bool = False) -> TrustFacts:
        found = self._keys(name)
        keys = tuple(_trusted(key) for key in found)
        for_images = found[0].purpose is Purpose.IMAGE
        return TrustFacts(
            keys=keys,
            for_images=for_images,
            registries=tuple(sorted(self.registries.public_names())),
            url=url,
            tlogs=tuple(self.logs()) if whole else (),
            authorities=self._authorities() if whole else (),
            others=self.others if whole else (),
            openpgp=dict(self._key_files(keys)) if whole and for_images else {},
        )

    def _keys(self, name: str | None) -> list[Key]:
        """Return the one that is named, or all for images, that with an active version first."""
        if name is not None:
            key = self.catalog.get(name)
            if key is None:
                raise KeyNotFoundError(f"there is no key {name!r}")
            if key.purpose not in {Purpose.IMAGE, Purpose.ATTESTATION}:
                raise KeyNotUsableError(f"{name} is a key for {key.purpose}")
            return [key]
        keys = list(self._every())
        if not keys:
            raise KeyNotFoundError("there is no key for images yet")
        return sorted(keys, key=lambda k: (not k.active(), k.created_at, k.name))

    def _every(self) -> Iterator[Key]:
        page = PageRequest(MAX_PAGE)
        while True:
            found = self.catalog.list(Purpose.IMAGE, page)
            yield from found.items
            if found.next is None:
                return
            page = PageRequest(MAX_PAGE, found.next)

    def _authorities(self) -> tuple[KeyVersion, ...]:
        return tuple(
            version
            for version in self.catalog.trusted_by_purpose(Purpose.TIMESTAMP)
            if version.trusted
            and version.chain is not None
            and len(version.chain.certificates) >= ROOT_AND_LEAF
        )

    def _key_files(self, keys: tuple[TrustedKey, ...]) -> Iterator[tuple[str, bytes]]:
        for key in keys:
            versions = [v for v in key.versions if self._is_in_openpgp(v)]
            if versions:
                yield key.name, self.openpgp_keys.key_file(versions)

    def _is_in_openpgp(self, version: KeyVersion) -> bool:
        """A key that is destroyed cannot certify itself any more, if it never did."""
        return (
            version.state is not KeyState.DESTROYED
            or self.openpgp_keys.certifications.get(version) is not None
        )


def _trusted(key: Key) -> TrustedKey:
    active = key.active()
    return TrustedKey(
        key.name, tuple(v for v in key.versions if v.trusted), active[-1] if active else None
    )
