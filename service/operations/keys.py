"""Keys as everybody may see them, and their public halves for verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.domain.errors import KeyNotFoundError, KeyNotUsableError
from service.domain.keys import Key, KeyState, KeyVersion, Purpose
from service.domain.lifecycle import version_of, with_versions
from service.domain.pages import Page, PageRequest
from service.ports.hsm import KeyLocator
from service.ports.store import KeyCatalog


@dataclass(frozen=True, slots=True)
class Keys:
    catalog: KeyCatalog
    locator: KeyLocator

    def get(self, name: str) -> Key:
        """Raises KeyNotFoundError."""
        key = self.catalog.get(name)
        if key is None:
            raise KeyNotFoundError(f"there is no key {name!r}")
        return key

    def list(self, purpose: Purpose | None, page: PageRequest) -> Page[Key]:
        return self.catalog.list(purpose, page)

    def public_keys(self, name: str, *, version: int | None, every: bool) -> tuple[KeyVersion, ...]:
        """Return one version, every version that still counts, or by default the active one.

        Raises:
            KeyNotFoundError: no such key or version.
            KeyNotUsableError: no version is active.
        """
        key = self.get(name)
        if version is not None:
            return (version_of(key, name, version),)
        if every:
            return tuple(v for v in key.versions if v.trusted)
        active = key.active()
        if not active:
            raise KeyNotUsableError(f"no version of {name} is active")
        return active[-1:]

    def located(self, keys: Sequence[Key]) -> Sequence[Key]:
        """Return the keys with each location as it is now: present, missing, unavailable.

        Asks the tokens, so it is for those who may see where keys lie.
        """
        asked = [v for key in keys for v in key.versions if v.state is not KeyState.DESTROYED]
        found = {
            version.subject: replace(version, locations=places)
            for version, places in zip(asked, self.locator.locate(asked), strict=True)
        }
        return [with_versions(key, [found.get(v.subject, v) for v in key.versions]) for key in keys]
