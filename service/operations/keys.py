"""Keys in their first form: create, list, show, and the public halves for verifiers."""

from __future__ import annotations

from dataclasses import dataclass

from service.domain.audit import AuditEvent
from service.domain.callers import Caller
from service.domain.clock import Clock
from service.domain.errors import (
    BusyError,
    KeyExistsError,
    KeyNotFoundError,
    KeyNotUsableError,
    UnsupportedAlgorithmError,
)
from service.domain.ids import new_id
from service.domain.keys import Algorithm, Key, KeyVersion, Purpose, parse_name
from service.domain.pages import Page, PageRequest
from service.operations.decide import require_action
from service.policy.roles import Action
from service.ports.hsm import KeyMaker
from service.ports.store import AuditTrail, KeyCatalog, Leases

GENERATION_LEASE_SECONDS = 120.0  # RSA-4096 on a slow token takes tens of seconds


@dataclass(frozen=True, slots=True)
class Keys:
    catalog: KeyCatalog
    maker: KeyMaker
    leases: Leases
    audit: AuditTrail
    clock: Clock

    def create(
        self,
        caller: Caller,
        *,
        name: str,
        purpose: Purpose,
        algorithm: Algorithm,
        token: str | None,
    ) -> Key:
        """Generate a key on a token and pin its public half.

        Uniqueness is ours to enforce: tokens let two processes make keys of one name. So the
        name is held by a lease from before the token is touched until the key is on record.

        Raises:
            ForbiddenError, InvalidRequestError, KeyExistsError, BusyError,
            UnsupportedAlgorithmError, TokenNotFoundError, HSMUnavailableError, PINRefusedError.
        """
        require_action(caller, Action.CREATE_KEY)
        parse_name(name)
        if purpose is Purpose.LOG and algorithm is not Algorithm.EC_P256:
            raise UnsupportedAlgorithmError(
                "a log key is ec-p256: the only kind whose log every client accepts"
            )
        lease = self.leases.acquire(
            f"key:{name}", owner=new_id("own"), seconds=GENERATION_LEASE_SECONDS
        )
        if lease is None:
            raise BusyError(f"a key of the name {name} is being made", retry_after=2.0)
        try:
            if self.catalog.get(name) is not None:
                raise KeyExistsError(f"there is a key {name}")
            self.audit.append(
                [
                    AuditEvent(
                        "key.generation-begun",
                        caller.name,
                        name,
                        {"purpose": purpose.value, "algorithm": algorithm.value},
                    )
                ]
            )
            generated = self.maker.generate(name, algorithm, token)
            key = Key(name, purpose, algorithm, self.clock.now())
            return self.catalog.create(key, generated, actor=caller.name)
        finally:
            self.leases.release(lease)

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
            found = key.version(version)
            if found is None:
                raise KeyNotFoundError(f"{name} has no version {version}")
            return (found,)
        if every:
            return tuple(v for v in key.versions if v.trusted)
        active = key.active()
        if not active:
            raise KeyNotUsableError(f"no version of {name} is active")
        return active[-1:]
