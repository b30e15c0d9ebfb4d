"""The act of generation: a new key, or a new version of one (rotation)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from service.domain.acts import Act, ActKind, Performed
from service.domain.audit import AuditEvent
from service.domain.certificates import CertificateChain
from service.domain.clock import Clock
from service.domain.errors import (
    CertificateSubjectTakenError,
    KeyExistsError,
    KeyNotFoundError,
    PublicKeyTakenError,
    ServiceError,
)
from service.domain.keys import (
    Algorithm,
    Key,
    KeyState,
    KeyVersion,
    Purpose,
    check_fit,
    check_name_for,
    parse_name,
)
from service.domain.lifecycle import NewVersion, added, fingerprint_of, first
from service.operations.certify_successor import CertifySuccessor
from service.operations.key_lease import held_key
from service.ports.hsm import KeyMaker
from service.ports.store import AuditTrail, KeyCatalog, Leases


@dataclass(frozen=True, slots=True)
class Generation:
    """What is asked for. With a purpose it is a new key, without one a rotation."""

    name: str
    purpose: Purpose | None
    algorithm: Algorithm | None
    token: str | None
    state: KeyState = KeyState.ACTIVE
    alongside: bool = False

    def act(self) -> Act:
        return Act(
            ActKind.GENERATE,
            self.name,
            {
                "purpose": None if self.purpose is None else self.purpose.value,
                "algorithm": None if self.algorithm is None else self.algorithm.value,
                "token": self.token,
                "state": self.state.value,
                "alongside": self.alongside,
            },
        )

    @classmethod
    def of(cls, act: Act) -> Generation:
        given = act.arguments
        purpose, algorithm, token = given["purpose"], given["algorithm"], given["token"]
        return cls(
            act.subject,
            None if purpose is None else Purpose(str(purpose)),
            None if algorithm is None else Algorithm(str(algorithm)),
            None if token is None else str(token),
            KeyState(str(given["state"])),
            bool(given["alongside"]),
        )


@dataclass(frozen=True, slots=True)
class GenerateKey:
    """Performs it. The value is the Key, or the KeyVersion of a rotation."""

    catalog: KeyCatalog
    maker: KeyMaker
    leases: Leases
    audit: AuditTrail
    clock: Clock
    successors: CertifySuccessor

    def check(self, act: Act) -> str:
        wanted = Generation.of(act)
        parse_name(wanted.name)
        key = self.catalog.get(wanted.name)
        if wanted.purpose is not None:
            check_name_for(wanted.name, wanted.purpose)
            if key is not None:
                raise KeyExistsError(f"there is a key {wanted.name}")
            check_fit(wanted.purpose, wanted.algorithm or Algorithm.EC_P256)
            return fingerprint_of("no key", wanted.name)
        if key is None:
            raise KeyNotFoundError(f"there is no key {wanted.name!r}")
        check_fit(key.purpose, wanted.algorithm or key.algorithm)
        self.successors.check(key)
        return fingerprint_of(wanted.name, key.newest(), [v.version for v in key.active()])

    def perform(self, act: Act, *, actor: str) -> Performed:
        wanted = Generation.of(act)
        with held_key(self.leases, wanted.name):
            self.check(act)
            key = self.catalog.get(wanted.name)
            if key is None:
                return self._new_key(wanted, actor)
            return self._new_version(wanted, key, actor)

    def _new_key(self, wanted: Generation, actor: str) -> Performed:
        algorithm = wanted.algorithm or Algorithm.EC_P256
        if wanted.purpose is None:
            raise KeyNotFoundError(f"there is no key {wanted.name!r}")
        key = Key(wanted.name, wanted.purpose, algorithm, self.clock.now())
        self._begin(key, 1, algorithm, actor)
        generated = self.maker.generate(_label(key, 1), algorithm, wanted.token)
        with self._or_destroyed(first(key, generated, state=wanted.state)):
            made = self.catalog.create(key, generated, actor=actor, state=wanted.state)
        return Performed(made, summary(made.versions[0]))

    def _new_version(self, wanted: Generation, key: Key, actor: str) -> Performed:
        number = key.newest() + 1
        algorithm = wanted.algorithm or key.algorithm
        self._begin(key, number, algorithm, actor)
        generated = self.maker.generate(
            _label(key, number), algorithm, wanted.token or _token_of(key, wanted)
        )
        new = NewVersion(key.name, algorithm, wanted.state, wanted.alongside)
        now = self.clock.now()
        shape = added(key, new, generated, created_at=now)[0]
        new = replace(new, chain=self._certified(key, shape, actor))
        with self._or_destroyed(shape):
            made = self.catalog.add_version(new, generated, created_at=now, actor=actor)
        return Performed(made, summary(made))

    def _certified(self, key: Key, made: KeyVersion, actor: str) -> CertificateChain | None:
        try:
            return self.successors.certify(key, made.public_key, actor=actor)
        except ServiceError:
            # Nothing of the key pair is on record yet, so it belongs to nobody.
            with suppress(ServiceError):
                self.maker.destroy(made)
            raise

    @contextmanager
    def _or_destroyed(self, made: KeyVersion) -> Iterator[None]:
        """Destroy on its token what the record certainly refuses: it belongs to nobody.

        That happens if making it took so long that the lease ran out. A store that is away
        refuses nothing: it may have committed, and then the key is in use.
        """
        try:
            yield
        except (KeyExistsError, PublicKeyTakenError, CertificateSubjectTakenError):
            self.maker.destroy(made)
            raise

    def _begin(self, key: Key, number: int, algorithm: Algorithm, actor: str) -> None:
        """Told before the token is: what a crash leaves there without a record has this name."""
        details = {
            "purpose": key.purpose.value,
            "algorithm": algorithm.value,
            "label": _label(key, number),
        }
        self.audit.append([AuditEvent("key.generation-begun", actor, key.name, details)])


def summary(version: KeyVersion) -> dict[str, object]:
    """What an approval, and whoever reads of it, is told of the version."""
    return {
        "key": version.key,
        "version": version.version,
        "state": version.state,
        "fingerprint": version.fingerprint,
    }


def _label(key: Key, number: int) -> str:
    """CKA_LABEL: for people who look at the token. Nothing is ever found by it."""
    return f"{key.name}/{number}"


def _token_of(key: Key, wanted: Generation) -> str | None:
    """A rotation stays on the token where the key is; what stands beside it lies elsewhere."""
    if wanted.alongside or not key.versions:
        return None
    newest = (key.active() or key.versions)[-1]
    return newest.locations[0].token if newest.locations else None
