"""The acts that give a key version its certificates: a chain that others issued, or our own.

Both are acts of the kind CERTIFICATE_IMPORT: whoever could replace a company's chain by a
self-made one alone would make every verifier of it refuse what is signed from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from service.domain.acts import Act, ActKind, Performed
from service.domain.certificates import CertificateChain, ChainOrigin
from service.domain.clock import Clock
from service.domain.errors import (
    InvalidRequestError,
    KeyNotFoundError,
    KeyNotUsableError,
    UnsupportedAlgorithmError,
)
from service.domain.keys import Algorithm, KeyState, KeyVersion, Purpose
from service.operations.check_certificates import Signer, begin, checked, refused
from service.operations.own_ca import OwnCA, Place, signer_subject, validity
from service.ports.certificates import CertificateBook, CertificateMaker
from service.ports.store import AuditTrail, KeyCatalog
from service.verification.certificate_rules import USE_OF
from service.verification.chains import ChainInvalidError, unverified_from_pem

_IMPORT: Final = "import"
_SELF_SIGN: Final = "self-sign"
_CAN_SIGN: Final = (KeyState.STAGED, KeyState.ACTIVE)


@dataclass(frozen=True, slots=True)
class ChainImport:
    """A chain that others issued, as PEM text, leaf first."""

    name: str
    number: int
    unverified_pem: str

    def act(self) -> Act:
        arguments = {"how": _IMPORT, "certificates": self.unverified_pem}
        return Act(ActKind.CERTIFICATE_IMPORT, f"{self.name}/{self.number}", arguments)


@dataclass(frozen=True, slots=True)
class SelfSigning:
    """A chain by our own CA, or a `lone` certificate that the key signs for itself."""

    name: str
    number: int
    place: Place = field(default_factory=dict)
    days: int = 0
    lone: bool = False

    def act(self) -> Act:
        arguments = {
            "how": _SELF_SIGN,
            "place": dict(self.place),
            "days": self.days,
            "lone": self.lone,
        }
        return Act(ActKind.CERTIFICATE_IMPORT, f"{self.name}/{self.number}", arguments)


def _wanted(act: Act) -> ChainImport | SelfSigning:
    name, _, number = act.subject.rpartition("/")
    given: Mapping[str, Any] = act.arguments
    if given["how"] == _IMPORT:
        return ChainImport(name, int(number), given["certificates"])
    return SelfSigning(name, int(number), given["place"], given["days"], lone=given["lone"])


def certifiable(catalog: KeyCatalog, name: str, number: int) -> KeyVersion:
    """Return the version if it can have a chain.

    Raises:
        KeyNotFoundError; KeyNotUsableError: its purpose has none, or it is over.
    """
    key = catalog.get(name)
    version = key.version(number) if key is not None else None
    if version is None:
        raise KeyNotFoundError(f"there is no key {name!r} with a version {number}")
    if version.purpose not in USE_OF:
        raise KeyNotUsableError(f"keys of purpose {version.purpose} have no certificates")
    if not version.has_a_future:
        raise KeyNotUsableError(f"{name} version {number} is {version.state}, and signs no more")
    return version


def check_signs(version: KeyVersion) -> None:
    """Raises KeyNotUsableError for a version that must not sign now, not even about itself."""
    if version.state not in _CAN_SIGN:
        raise KeyNotUsableError(f"{version.key} version {version.version} is {version.state}")


@dataclass(frozen=True, slots=True)
class CertifyVersion:
    """Performs both. The value is the KeyVersion with its chain."""

    catalog: KeyCatalog
    book: CertificateBook
    maker: CertificateMaker
    ca: OwnCA
    audit: AuditTrail
    clock: Clock

    def check(self, act: Act) -> str:
        wanted = _wanted(act)
        version = certifiable(self.catalog, wanted.name, wanted.number)
        if isinstance(wanted, ChainImport):
            self._check_import(wanted, version)
        else:
            self._check_self_signing(wanted, version)
        now = version.chain.thumbprints[0] if version.chain is not None else "no certificate"
        return f"{version.fingerprint} {version.state} {now}"

    def perform(self, act: Act, *, actor: str) -> Performed:
        wanted = _wanted(act)
        version = certifiable(self.catalog, wanted.name, wanted.number)
        if isinstance(wanted, ChainImport):
            chain = self._check_import(wanted, version)
        else:
            place = self._check_self_signing(wanted, version)
            chain = self._made(wanted, version, place, actor=actor)
        recorded = self.book.record(wanted.name, wanted.number, chain, actor=actor)
        return Performed(recorded, _summary(chain))

    def _check_import(self, wanted: ChainImport, version: KeyVersion) -> CertificateChain:
        try:
            unverified = unverified_from_pem(wanted.unverified_pem)
        except ChainInvalidError as error:
            raise refused(error) from error
        signer, now = Signer.of(version), self.clock.now()
        chain = checked(unverified, signer, ChainOrigin.IMPORTED, at=now)
        self.book.check_subject(version.key, version.version, chain.subject)
        return chain

    def _check_self_signing(self, wanted: SelfSigning, version: KeyVersion) -> Place:
        if version.purpose is not Purpose.TIMESTAMP and version.algorithm is Algorithm.ED25519:
            raise UnsupportedAlgorithmError("notation takes no certificates of Ed25519 keys")
        if not wanted.lone:
            # Before it is made it can still be asked whether all else is right.
            if self.ca.key() is not None:
                self.ca.usable()
        elif version.purpose is Purpose.TIMESTAMP:
            raise InvalidRequestError(
                "cosign takes no lone certificate for timestamps",
                errors={"lone": ["not for a key of purpose timestamp"]},
            )
        else:
            check_signs(version)
        place = self.ca.place(wanted.place)
        subject = signer_subject(place, version.key, version.version)
        self.book.check_subject(version.key, version.version, subject)
        return place

    def _made(
        self, wanted: SelfSigning, version: KeyVersion, place: Place, *, actor: str
    ) -> CertificateChain:
        signer, now = Signer.of(version), self.clock.now()
        if not wanted.lone:
            return self.ca.issue(signer, place, days=wanted.days, actor=actor)
        subject = signer_subject(place, version.key, version.version)
        begin(self.audit, signer, subject, by=version, actor=actor)
        lone = self.maker.lone(version, subject, validity(now, days=wanted.days))
        return checked((lone,), signer, ChainOrigin.SELF_SIGNED, at=now)


def _summary(chain: CertificateChain) -> dict[str, object]:
    return {
        "origin": chain.origin.value,
        "subject": chain.subject.text(),
        "thumbprints": list(chain.thumbprints),
    }
