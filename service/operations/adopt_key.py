"""The act of adoption: a key that lies on a token already, named by its URI (RFC 7512).

A new name makes a key of it. Under a name that exists it is a new version; the same public key
on another token is one more location of the version that it is, which is how keys that an HSM
has cloned fail over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.acts import Act, ActKind, Performed
from service.domain.clock import Clock
from service.domain.errors import (
    InvalidRequestError,
    KeyNotAdoptableError,
    KeyNotUsableError,
    PolicyDeniedError,
    PublicKeyTakenError,
)
from service.domain.keys import (
    OWN_CA,
    GeneratedKey,
    Key,
    KeyState,
    KeyVersion,
    Purpose,
    check_fit,
    check_name_for,
    parse_name,
)
from service.domain.lifecycle import NewVersion, fingerprint_of
from service.domain.public_keys import PublicKey
from service.operations.certify_successor import CertifySuccessor
from service.operations.generate_key import summary
from service.operations.key_lease import held_key
from service.ports.hsm import KeyMaker
from service.ports.store import KeyCatalog, Leases

_GONE = frozenset({KeyState.COMPROMISED, KeyState.DESTROYED})


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is asked for. Without a purpose it is the key's own, or `image` for a new one."""

    name: str
    uri: str
    unverified_public_key: str
    """PEM, as the custodian has it from where the key was made."""
    purpose: Purpose | None = None
    state: KeyState = KeyState.ACTIVE
    alongside: bool = False
    allow_extractable: bool = False

    def act(self) -> Act:
        return Act(
            ActKind.ADOPT,
            self.name,
            {
                "uri": self.uri,
                "public_key": self.unverified_public_key,
                "purpose": None if self.purpose is None else self.purpose.value,
                "state": self.state.value,
                "alongside": self.alongside,
                "allow_extractable": self.allow_extractable,
            },
        )

    @classmethod
    def of(cls, act: Act) -> Adoption:
        given = act.arguments
        purpose = given["purpose"]
        return cls(
            act.subject,
            str(given["uri"]),
            str(given["public_key"]),
            None if purpose is None else Purpose(str(purpose)),
            KeyState(str(given["state"])),
            bool(given["alongside"]),
            bool(given["allow_extractable"]),
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """The key on the token, and what it is to us: nothing yet, or a version that we know."""

    key: Key | None
    generated: GeneratedKey
    public: PublicKey
    known: KeyVersion | None


@dataclass(frozen=True, slots=True)
class AdoptKey:
    """Performs it. The value is the new Key, the new KeyVersion, or the one that is known."""

    catalog: KeyCatalog
    maker: KeyMaker
    leases: Leases
    clock: Clock
    successors: CertifySuccessor
    may_be_extractable: Callable[[], bool]
    """What the policy file says at this moment."""

    def check(self, act: Act) -> str:
        found = self._found(Adoption.of(act))
        place = found.generated.location
        return fingerprint_of(
            found.public.der.hex(),
            [place.token, place.serial, found.generated.cka_id.hex()],
            None if found.known is None else [found.known.subject, found.known.state],
            None if found.key is None else [found.key.newest(), len(found.key.active())],
        )

    def perform(self, act: Act, *, actor: str) -> Performed:
        wanted = Adoption.of(act)
        with held_key(self.leases, wanted.name):
            found = self._found(wanted)
            if found.known is not None:
                place = found.generated.location
                version = self.catalog.add_location(
                    wanted.name, found.known.version, place, actor=actor
                )
                return Performed(version, {**summary(version), "adopted": "location"})
            now = self.clock.now()
            if found.key is None:
                purpose = wanted.purpose or Purpose.IMAGE
                key = Key(wanted.name, purpose, found.public.algorithm, now)
                made = self.catalog.create(
                    key, found.generated, actor=actor, state=wanted.state, adopted=True
                )
                return Performed(made, {**summary(made.versions[0]), "adopted": "key"})
            chain = self.successors.certify(found.key, found.generated.public_key, actor=actor)
            new = NewVersion(
                wanted.name, found.public.algorithm, wanted.state, wanted.alongside, chain
            )
            version = self.catalog.add_version(
                new, found.generated, created_at=now, actor=actor, adopted=True
            )
            return Performed(version, {**summary(version), "adopted": "version"})

    def _found(self, wanted: Adoption) -> _Found:
        parse_name(wanted.name)
        if wanted.allow_extractable and not self.may_be_extractable():
            raise PolicyDeniedError(
                "the policy file does not say custody.allow_extractable: a key that can leave "
                "its token is not adopted"
            )
        public = _parsed(wanted.unverified_public_key)
        key = self.catalog.get(wanted.name)
        purpose = wanted.purpose or (Purpose.IMAGE if key is None else key.purpose)
        if key is not None and key.purpose is not purpose:
            raise KeyNotUsableError(f"{key.name} is a key for {key.purpose}, not for {purpose}")
        check_name_for(wanted.name, purpose)
        check_fit(purpose, public.algorithm)
        known = self.catalog.by_public_key(public.der)
        if known is None and purpose is Purpose.CA:
            raise KeyNotUsableError(f"the key of {OWN_CA} is made by us: no other is adopted")
        if known is None and key is not None:
            self.successors.check(key)
        if known is not None:
            _check_known(known, wanted.name)
        generated = self.maker.adopt(
            wanted.uri, public.der, allow_extractable=wanted.allow_extractable
        )
        if known is not None:
            _check_clone(known, generated)
        return _Found(key, generated, public, known)


def _parsed(unverified_pem: str) -> PublicKey:
    try:
        return PublicKey.parse_pem(unverified_pem)
    except ValueError as error:
        raise InvalidRequestError(
            "the public key cannot be used", errors={"public_key": [str(error)]}
        ) from error


def _check_known(known: KeyVersion, name: str) -> None:
    which = f"it is {known.key} version {known.version}"
    if known.key != name:
        raise PublicKeyTakenError(f"{which}, and no key can have two names")
    if known.state in _GONE:
        raise PublicKeyTakenError(f"{which}, which is {known.state}")


def _check_clone(known: KeyVersion, generated: GeneratedKey) -> None:
    place = generated.location
    if any((p.token, p.serial) == (place.token, place.serial) for p in known.locations):
        raise PublicKeyTakenError(
            f"it is {known.key} version {known.version}, which is known to lie on {place.token}"
        )
    if known.cka_id != generated.cka_id:
        raise KeyNotAdoptableError(
            f"on {place.token} the key has the CKA_ID {generated.cka_id.hex()}, and elsewhere "
            f"{known.cka_id.hex()}: give it the same one with the token's own tools"
        )
